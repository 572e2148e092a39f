import { join } from 'node:path'

/** The checkout, and what tests take from it. */
export const PROJECT = join(import.meta.dirname, '../..')
export const BUNDLE = join(PROJECT, 'dist/hostext.cjs')
export const GENERATORS = join(PROJECT, 'generators')
export const STEPS = join(GENERATORS, 'steps')
/** Data roots made by a real engine: data-roots/make.ts. */
export const DATA_ROOTS = join(PROJECT, 'test/data-roots')
/** A machine a folder, with the units it gets. */
export const CASES = join(PROJECT, 'test/cases')
