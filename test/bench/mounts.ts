import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BOTH, machine, makeKnown, views, work } from './machines.js'
import { type Comparison, compare, type Side } from './measure.js'

/**
 * A root with `count` extensions of one file each, as systemd-sysext takes them. They are directories, so
 * that no side has to mount images.
 */
function sysextRoot(count: number): string {
  const root = join(work, `sysext-${count}`)
  const write = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  write('usr/lib/os-release', 'ID=bench\n')
  mkdirSync(join(root, 'etc'))
  write('etc/os-release', 'ID=bench\n')
  for (const directory of ['run', 'proc', 'points']) mkdirSync(join(root, directory))
  for (let index = 0; index < count; index++) {
    const extension = `var/lib/extensions/x${index}`
    mkdirSync(join(root, 'points', String(index)))
    write(`${extension}/usr/lib/extension-release.d/extension-release.x${index}`, 'ID=_any\n')
    write(`${extension}/usr/share/extension-${index}`, '')
  }
  return root
}

/** Each run in a mount namespace of its own, with which all that it mounts is gone. */
const privately = (script: string): string => `unshare -m sh -c '${script}'`

/** The mounts of a stack, by a process for each: a bind for each extension, and the overlay. */
const loop = (root: string, count: number): string =>
  `cd ${root} && lower=usr n=0 && while [ $n -lt ${count} ]; do ` +
  `mount --bind var/lib/extensions/x$n points/$n && lower=points/$n:$lower n=$((n + 1)) || exit 1; done && ` +
  'mount -t overlay hostext -o ro,lowerdir=$lower usr'

/** What stacks directories over a root, in all: deciding and mounting. */
export function mounts(): Comparison[] {
  const rows: Comparison[] = []
  for (const count of [20, 200]) {
    const root = sysextRoot(count)
    const merge: Side = {
      name: `systemd-sysext merge, ${count} extensions`,
      script: privately(`SYSTEMD_SYSEXT_HIERARCHIES=/usr systemd-sysext --root=${root} merge`),
      runs: 5,
    }
    const mounting: Side = {
      name: `a shell loop of ${count} mounts and an overlay`,
      script: privately(loop(root, count)),
      runs: 5,
    }
    const known = machine(`mounts-${count}`, count)
    makeKnown(known)
    rows.push(
      compare(
        'mounts',
        { name: 'known boot, both passes', script: BOTH, runs: 5, ...views(known, 5) },
        merge,
        {
          pairs: 15,
        },
      ),
      compare('mounts', mounting, merge, { pairs: 15 }),
    )
  }
  return rows
}
