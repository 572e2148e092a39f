import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stackMachine } from '../../packaging/code/machine.mjs'
import { boot, install, machine, OFFICIAL, prepareImages, work } from './machines.js'
import { type Comparison, compare, type Side } from './measure.js'

/** The size of an archive: what people send to a device at most. */
const LARGE = 500 << 20

/** What people type: on a machine on which 20 extensions are stacked, and with an archive. */
export function commands(): Comparison[] {
  const root = machine('commands', 20)
  install(root)
  prepareImages(root)
  boot(root)
  stackMachine(root)
  const empty = join(work, 'empty-command.js')
  writeFileSync(empty, '')
  const command = join(root, 'usr/lib/hostext/command')
  // As from a script, which reads the answer.
  const answer = (words: string): Side => ({
    name: `hostext ${words}`,
    script: `HOSTEXT_ROOT=${root} ${command} ${words} | cat`,
  })
  const bare = (name: string, node: string): Side => ({ name, script: `${node} ${empty} | cat` })
  const rows = ['version', 'status', 'list', 'which /usr/share/extension-3'].map((words) =>
    compare('commands', answer(words), bare('the official Node, an empty script', OFFICIAL), {
      pairs: 15,
      bound: 1.5,
    }),
  )
  const archive = archiveOf(LARGE)
  const check = (compress: string): Side => ({
    name: `hostext check, 500 MiB${compress && ', gzip'}, from a pipe`,
    script: `cat ${archive}${compress} | ${command} check --no-root - >/dev/null`,
    runs: 1,
  })
  const list = (compress: string): Side => ({
    name: 'tar -t of it',
    script: `cat ${archive}${compress} | tar -t${compress && 'z'} >/dev/null`,
    runs: 1,
  })
  for (const compress of ['', '.gz'])
    rows.push(compare('commands', check(compress), list(compress), { pairs: 7, bound: 2 }))
  return rows
}

/** An archive of that size, plain and compressed, of files of this machine. */
function archiveOf(size: number): string {
  const archive = join(work, 'large.tar')
  const script = `cd / && find usr -xdev -type f -printf '%s %p\\n' | LC_ALL=C sort -k 2 |
awk '{ sum += $1 + 1024; if (sum > ${size}) exit; sub(/^[0-9]+ /, ""); print }' | tar -cf "$0" -T - && gzip -1 -k "$0"`
  execFileSync('sh', ['-c', script, archive], { stdio: 'ignore' })
  return archive
}
