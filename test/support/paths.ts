import { join } from 'node:path'

/** The checkout, and the parts of it that tests use. */
export const PROJECT = join(import.meta.dirname, '../..')
export const BUNDLE = join(PROJECT, 'dist/hostext.cjs')
/** What people type. */
export const COMMANDS_BUNDLE = join(PROJECT, 'dist/commands.cjs')
export const GENERATORS = join(PROJECT, 'generators')
export const STEPS = join(GENERATORS, 'steps')
/** What keeps package managers from the locked root. */
export const PACKAGES = join(GENERATORS, 'packages')
/** Data roots made by a real engine: data-roots/make.ts. */
export const DATA_ROOTS = join(PROJECT, 'test/data-roots')
/** Machines, one in each folder, with the units they get. */
export const CASES = join(PROJECT, 'test/cases')
