import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeTree, type Tree } from './tree.js'

/** Why no systemd here can verify units, or false. */
export const cannotVerify =
  spawnSync('systemd-analyze', ['--version']).status !== 0 && 'no systemd-analyze here'

/** The complaints of systemd-analyze(1) about these units, one on each line. It sees no other units. */
export function verify(t: Test, units: Tree): string {
  const directory = makeTree(t, units)
  const { stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', ...Object.keys(units).map((name) => join(directory, name))],
    { encoding: 'utf8', env: { PATH: process.env.PATH, SYSTEMD_UNIT_PATH: directory }, maxBuffer: 1 << 26 },
  )
  return stdout + stderr
}
