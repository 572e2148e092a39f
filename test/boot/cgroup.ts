import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/**
 * The directories of this process in the control group hierarchies in which systemd keeps its units: cgroup2,
 * and `name=systemd` if that still exists. From the text of /proc/self/cgroup and /proc/self/mountinfo.
 */
export function unitHierarchies(cgroup: string, mountinfo: string): string[] {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [mount = '', superBlock = ''] = line.split(' - ')
    const [, , , root, mountPoint] = mount.split(' ')
    const [type, , options = ''] = superBlock.split(' ')
    if (root === undefined || mountPoint === undefined) return []
    if (type === 'cgroup2') return { controllers: '', root, mountPoint }
    const named = type === 'cgroup' && options.split(',').includes('name=systemd')
    return named ? { controllers: 'name=systemd', root, mountPoint } : []
  })
  return cgroup.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    const mount = mounts.find((each) => each.controllers === controllers)
    if (mount === undefined || path === undefined) return []
    const below = mount.root === '/' || path === mount.root || path.startsWith(`${mount.root}/`)
    return below ? [join(mount.mountPoint, mount.root === '/' ? path : path.slice(mount.root.length))] : []
  })
}

/** `sh -c JOIN sh GROUP... -- COMMAND...`: joins the groups and becomes the command. */
const JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'

/** What {@link ownCgroup} returns. */
export type Cgroup = { words: string[]; processor: () => number; remove: () => Promise<void> }

/**
 * Makes a control group for one container. Returns the words to put before its command; a function that says
 * how many seconds of processor time its processes have taken so far (cpu.stat of cgroup2, which the kernel
 * has without any controller); and one that removes the group when the command has ended.
 *
 * systemd-nspawn puts a container below the group that it is started in, always with the name `payload`. So
 * two containers that are started in one group share the groups of their units. Each PID 1 removes groups
 * that are empty at the moment. If the other one is about to put a process there, that unit fails
 * (219/CGROUP).
 */
export function ownCgroup(): Cgroup {
  const hierarchies = unitHierarchies(
    readFileSync('/proc/self/cgroup', 'utf8'),
    readFileSync('/proc/self/mountinfo', 'utf8'),
  )
  // The same name in both hierarchies: systemd-nspawn uses the path from one for the other.
  const name = `hostext-test-${randomUUID()}`
  const groups = hierarchies.map((directory) => join(directory, name))
  for (const group of groups) mkdirSync(group)
  return {
    words: ['sh', '-c', JOIN, 'sh', ...groups, '--'],
    processor: () => {
      const stat = groups.map((group) => join(group, 'cpu.stat')).find((file) => existsSync(file))
      const [, usage] = /^usage_usec (\d+)$/m.exec(stat ? readFileSync(stat, 'utf8') : '') ?? []
      return usage === undefined ? Number.NaN : Number(usage) / 1e6
    },
    remove: async () => {
      for (const group of groups) await removeGroup(group)
    },
  }
}

/**
 * Removes a group and everything below it. Killed processes take a moment to go; a group that stays longer is
 * left.
 */
async function removeGroup(group: string): Promise<void> {
  for (let tries = 20; tries > 0; tries--) {
    for (const name of groupsIn(group)) await removeGroup(join(group, name))
    try {
      rmdirSync(group)
      return
    } catch (error) {
      if (isGone(error)) return
      await setTimeout(250)
    }
  }
}

/** The groups in a group. They may vanish at any time, because systemd-nspawn removes its own. */
function groupsIn(group: string): string[] {
  try {
    const entries = readdirSync(group, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** kernfs returns ENODEV for what vanishes while it is read. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
}
