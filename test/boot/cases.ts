import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from './checks.js'

const DIRECTORY = join(import.meta.dirname, 'cases')

/** The cases of all files in cases/, each of which exports a function `cases`. */
export async function allCases(): Promise<Case[]> {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.ts'))
  const files = await Promise.all(
    names
      .sort()
      .map(
        async (name): Promise<{ cases: () => Case[] }> => import(`./cases/${name.replace(/\.ts$/, '.js')}`),
      ),
  )
  return files.flatMap(({ cases }) => cases())
}
