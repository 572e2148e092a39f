import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Call } from '../../src/commands/answer.js'
import { generate } from '../../src/generator.js'
import { inputRoot } from '../../src/machine/files.js'
import { nextBootRoot } from '../../src/machine/next-boot.js'
import { prepareCase } from './case.js'

/**
 * The machine of a case, after its generator has run: what it shows is of that boot. `words`: what is added
 * to the kernel command line of this boot.
 */
export async function runningCase(
  t: Test,
  name: string,
  words = '',
): Promise<{ root: string; call: MakeCall }> {
  const { root } = await prepareCase(t, name)
  const line = join(root, 'proc/cmdline')
  if (words) writeFileSync(line, `${readFileSync(line, 'utf8').trim()} ${words}\n`)
  const directories = ['', '.early', '.late'].map((suffix) => join(root, `run/systemd/generator${suffix}`))
  for (const directory of directories) mkdirSync(directory, { recursive: true })
  const [normal = '', early, late] = directories
  generate({ HOSTEXT_ROOT: root }, normal, early, late)
  return { root, call: callsOf(root) }
}

type MakeCall = (words?: string[], options?: Call['options'], width?: number) => Call

/** How a command is called for the system below `root`. */
export function callsOf(root: string): MakeCall {
  const environment = { HOSTEXT_ROOT: root }
  return (words = [], options = {}, width = 80) => ({
    root: nextBootRoot(environment),
    environment,
    words,
    options,
    screen: { width, colour: false, unicode: true },
  })
}

/** The input root of such a system. */
export const rootOf = (root: string) => inputRoot({ HOSTEXT_ROOT: root })
