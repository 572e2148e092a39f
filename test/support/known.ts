import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { generate } from '../../src/generator.js'
import { type Seen, seeNothing } from '../../src/machine/seen.js'
import { readAndDecide } from '../../src/read.js'
import { prepareCase } from './case.js'
import { GENERATORS, STEPS } from './paths.js'
import { readTree, type Tree, walk, writeTree } from './tree.js'

/*
 * A boot whose decision is kept, and those after it. The runtime leaves a trace, and writes what the program
 * in this process has decided.
 */

export const STUB = join(GENERATORS, 'hostext-generator')
export const DATA = 'var/lib/docker'
/** Where hostext keeps its own: of Docker, of its own containerd, of Podman, and one that a setting names. */
const STORES = [DATA, `${DATA}/containerd/daemon`, 'var/lib/containers/storage', 'srv/engine']
const RUNTIME = `#!/bin/sh
true >"$HOSTEXT_ROOT/started"
[ ! -d "$HOSTEXT_ROOT/decided" ] || cp -a "$HOSTEXT_ROOT/decided/." "$HOSTEXT_ROOT/run/"
`

/** The directories that PID 1 gives to generators. */
export const outputs = (root: string): [string, string, string] => {
  const [normal = '', early = '', late = ''] = ['', '.early', '.late'].map((suffix) =>
    join(root, `run/systemd/generator${suffix}`),
  )
  return [normal, early, late]
}

/** Makes /run as it is before generators run. */
export function startBoot(root: string): void {
  rmSync(join(root, 'run'), { recursive: true, force: true })
  for (const directory of outputs(root)) mkdirSync(directory, { recursive: true })
}

export type Boot = { started: boolean; run: Tree; stderr: string }

/**
 * Runs the stub, where {@link startBoot} has been. `input`: a descriptor for standard input, which is empty
 * otherwise. Throws an Error if it fails or hangs, which it never does.
 */
export function runStub(
  root: string,
  shell: readonly string[] = ['dash'],
  environment: Tree = {},
  input: number | 'pipe' = 'pipe',
): Pick<Boot, 'started' | 'stderr'> {
  const { stderr, status } = spawnSync(shell[0] as string, [...shell.slice(1), STUB, ...outputs(root)], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root, ...environment },
    stdio: [input, 'pipe', 'pipe'],
    timeout: 60_000,
  })
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`)
  const trace = join(root, 'started')
  const started = existsSync(trace)
  if (started) rmSync(trace)
  return { started, stderr }
}

/** Runs the stub in a boot. Returns whether it starts the runtime. */
function run(root: string): boolean {
  startBoot(root)
  return runStub(root).started
}

/** Whether a boot starts the runtime. Otherwise it has to decide as before. */
export function starts(root: string): boolean {
  const started = run(root)
  if (!started && !existsSync(join(root, 'run/hostext/locked'))) throw new Error('nothing was decided')
  return started
}

/** Whether a boot decides as before. */
export function replays(root: string): boolean {
  return !run(root)
}

/**
 * What is in /run, with modes, links and empty directories, and without what the stub or the program only
 * notes for each other.
 */
export function runEntries(root: string): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const { path, entry } of walk(join(root, 'run'))) {
    if (OWN_NOTES.test(path)) continue
    const place = join(root, 'run', path)
    const content = entry.isSymbolicLink()
      ? `-> ${readlinkSync(place)}`
      : entry.isFile()
        ? readFileSync(place, 'utf8')
        : ''
    entries[path] = `${lstatSync(place).mode.toString(8)} ${content}`
  }
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Runs the stub as PID 1 does. */
export function boot(
  root: string,
  shell: readonly string[] = ['dash'],
  environment: Tree = {},
  files: Tree = {},
): Boot {
  startBoot(root)
  writeTree(root, files)
  return { ...runStub(root, shell, environment), run: readTree(join(root, 'run')) }
}

/** What the stub and the program note for each other, and how the second pass finds what is replayed. */
const OWN_NOTES = /^(?:hostext\/(?:known|replay|seen|paths)(?:\/|$)|hostext\.(?:saw|ids|fit)$)/

/** What a boot has written. */
export const written = ({ run }: Boot): Tree =>
  Object.fromEntries(Object.entries(run).filter(([path]) => !OWN_NOTES.test(path)))

/** Decides in this process what a boot has in /run, as the runtime would. */
export function decide(root: string, environment: Tree = {}): void {
  startBoot(root)
  generate({ HOSTEXT_ROOT: root, ...environment }, ...outputs(root))
}

/** All that the decision looks at, as the program in this process notes it. */
export function lookedAt(root: string): Seen {
  startBoot(root)
  const seen = seeNothing()
  readAndDecide({ prefix: root, seen }, {}, 'this')
  return seen
}

/** A machine that has kept what it decides, in the directory `own` of its data root. */
export async function keep(
  t: Test,
  name = 'known-good',
  shell?: readonly string[],
  environment: Tree = {},
  change?: (root: string) => void,
): Promise<{ root: string; own: string; first: Boot }> {
  const { root } = await prepareCase(t, name)
  change?.(root)
  const own = STORES.map((store) => join(root, store, 'hostext')).find((path) => existsSync(path))
  if (own === undefined) throw new Error('nothing is prepared')
  writeTree(root, { 'usr/lib/hostext/node*': RUNTIME })
  const scripts = ['known.sh', 'remember.sh'].map((name) => `usr/lib/hostext/${name}`)
  for (const path of scripts) cpSync(join(STEPS, basename(path)), join(root, path))
  // In whole seconds, to which a test can set them back.
  for (const path of [...scripts, 'usr/lib/hostext', 'usr/lib', 'usr'])
    utimesSync(join(root, path), 1.7e9, 1.7e9)
  const trees = join(own, 'trees')
  for (const { path } of walk(trees)) if (path.endsWith('/facts')) utimesSync(join(trees, path), 1.7e9, 1.7e9)
  // The new files have made it another base.
  decide(root, environment)
  const record = readTree(join(root, 'run/hostext')).trial
  if (record !== undefined) {
    writeFileSync(join(own, 'good'), record)
    decide(root, environment)
  }
  renameSync(join(root, 'run'), join(root, 'decided'))
  const first = boot(root, shell, environment)
  if (!first.started) throw new Error('the runtime was not asked')
  const kept = join(root, 'run/hostext/known')
  cpSync(kept, join(own, 'known'), { recursive: true })
  return { root, own, first }
}
