import { isBelow } from '../machine/mountinfo.js'
import { BASE, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { Plan } from '../stack/plan.js'
import { type FstabMount, fstabLine } from '../text/fstab-line.js'
import { withoutTrailingSlashes } from '../text/path.js'
import { layerMounts } from './layer.js'
import { type Stack, stackOptions, stackSource, stacks } from './stack.js'

/** A file in the run directory that generators/steps/stack gives to mount(8). */
export type MountList = { name: string; text: string }

/**
 * What the first pass mounts, in lists for mount(8): one process makes all mounts of a list. With a mount
 * unit for each, every one costs PID 1 a process, two or three looks at the mount table, and, after five of
 * them in a second, a second in which it looks away (docs/design.md, "One process mounts").
 *
 * `layers` and `last`: the extensions. The second pass uses `layers` again, and a unit for the last one.
 * `root`: the new root, and what is bound in it. `etc`: what has to wait until the directories for changes to
 * /etc are there.
 */
export function mountLists(plan: Plan, nextRoot: string): MountList[] {
  const layers = layerMounts(plan)
  const { before, after } = rootMounts(plan, nextRoot)
  const lists = { layers: layers.slice(0, -1), last: layers.slice(-1), root: before, etc: after }
  return Object.entries(lists)
    .filter(([, mounts]) => mounts.length > 0)
    .map(([name, mounts]) => ({ name: `${name}.fstab`, text: mounts.map(fstabLine).join('') }))
}

/**
 * Parents come before what is below them. If /etc needs its directories first, it is in `after`, with all
 * that is below it.
 */
function rootMounts(plan: Plan, nextRoot: string): { before: FstabMount[]; after: FstabMount[] } {
  const all = [
    ...stacks(plan, nextRoot).map((stack) => ({ path: stack.path, mount: overlay(stack, nextRoot) })),
    ...bindsOf(plan, nextRoot).map(({ path, from, options, place }) => ({
      path,
      mount: { what: from, where: withoutTrailingSlashes(place + path), type: 'none', options },
    })),
  ].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const waits = ({ path }: { path: string }) =>
    plan.etc.mode === 'persistent' && (path === '/etc' || isBelow(path, '/etc'))
  return {
    before: all.filter((each) => !waits(each)).map(({ mount }) => mount),
    after: all.filter(waits).map(({ mount }) => mount),
  }
}

function overlay(stack: Stack, nextRoot: string): FstabMount {
  const where = withoutTrailingSlashes(nextRoot + stack.path)
  // PID 1 would make the directory for a mount unit.
  const make = stack.path === '/' ? 'X-mount.mkdir,' : ''
  return { what: stackSource(stack), where, type: 'overlay', options: make + stackOptions(stack) }
}

/**
 * systemd 252 moves the old root to /mnt when it switches, and unmounts everything below that. So what is to
 * be there is bound at another place first, and from there after the switch (units/locked.ts).
 */
export const ASIDE = `${RUN_DIRECTORY}/aside`
export function isTaken({ softReboot }: Pick<Plan, 'softReboot'>, path: string): boolean {
  return !softReboot && isBelow(path, '/mnt')
}

/** What the locked system shows of the base root: the root, and a /usr that is mounted on it. */
export function basePlaces({ showsBase, separateUsr }: Pick<Plan, 'showsBase' | 'separateUsr'>): string[] {
  if (!showsBase) return []
  return separateUsr ? ['/', '/usr'] : ['/']
}

type Bind = { from: string; path: string; place: string; options: string }

/** The state of the base root, what the initrd has mounted, the engine's data, and the base root itself. */
function bindsOf(plan: Plan, nextRoot: string): Bind[] {
  const bind = (path: string, options: string): Bind =>
    isTaken(plan, path)
      ? { from: path, path, place: ASIDE, options: `${options},X-mount.mkdir` }
      : { from: path, path, place: nextRoot, options }
  return [
    ...plan.state.map((path) => bind(path, 'bind')),
    ...[...plan.carried, ...plan.fromInitrd].map((path) => bind(path, 'bind')),
    ...plan.boundData.map((path) => bind(path, 'bind,ro')),
    // It has set-uid programs that the root may hide.
    ...basePlaces(plan).map((path) => ({
      from: path,
      path: withoutTrailingSlashes(BASE + path),
      place: nextRoot,
      options: 'bind,ro,nosuid,nodev',
    })),
  ]
}
