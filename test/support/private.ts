import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeTree, readTree, type Tree, writeTree } from './tree.js'

/** Why scripts that mount cannot run here, or false. */
export const cannotMount =
  process.getuid?.() !== 0
    ? 'a mount namespace needs root'
    : spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/run']).status !== 0 &&
      'no mount namespace can be made here'

/**
 * Runs `command` in a mount namespace of its own, with nothing in /run but `files`, and in /dev nothing but a
 * null, a pipe in place of the kernel's log, and the memory in which test/run.ts has the trees of tests;
 * `tools` stand before those of the system, in the first directory of the scripts' own path. Returns what is
 * in /run afterwards, without what is mounted there, and the kernel's log.
 */
export function runPrivately(
  t: Test,
  command: string[],
  files: Tree,
  tools: Tree,
): { status: number | null; stderr: string; run: Tree; kernelLog: string } {
  const work = makeTree(t)
  writeTree(join(work, 'run'), files)
  writeTree(join(work, 'bin'), tools)
  const script = `set -e
mkdir -p "$0/bin"
chmod -R +x "$0/bin"
mount -t tmpfs tmpfs /run
cp -a "$0/run/." /run
mount --bind "$0" /mnt
mkdir /mnt/shm
mount --bind /dev/shm /mnt/shm
mount -t tmpfs tmpfs /dev
mkdir /dev/shm
mount --move /mnt/shm /dev/shm
mknod -m 666 /dev/null c 1 3
mkfifo -m 666 /dev/kmsg
cat /dev/kmsg >/mnt/kmsg 2>/mnt/kmsg.err &
exec 9>/dev/kmsg
mount -t overlay overlay -o ro,lowerdir=/mnt/bin:/usr/sbin /usr/sbin
status=0
"$@" 9>&- || status=$?
exec 9>&-
wait
mkdir /mnt/after
tar -C /run --one-file-system -cf - . | tar -C /mnt/after -xf -
exit "$status"`
  const { status, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, work, ...command], {
    encoding: 'utf8',
  })
  const { kmsg = '' } = readTree(work)
  return { status, stderr, run: readTree(join(work, 'after')), kernelLog: kmsg }
}
