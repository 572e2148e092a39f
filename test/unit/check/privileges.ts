import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { readArchive } from '../../../src/check/archive.js'
import { readDirectory } from '../../../src/check/directory.js'
import { Findings } from '../../../src/check/finding.js'
import type { Node } from '../../../src/check/memory.js'
import { checkPrivileges, readCapabilities } from '../../../src/check/privileges.js'
import { sh } from '../../support/image.js'
import { makeTree } from '../../support/tree.js'

function check(top: Node, root = makeTree(t)) {
  const findings = new Findings()
  const found = checkPrivileges(top, { prefix: root }, findings)
  return { found, lines: findings.sorted().map(({ level, path, text }) => `${level}: ${path}: ${text}`) }
}

t.test('setuid, setgid, and what everybody may write to', async (t) => {
  const directory = makeTree(t)
  sh(
    directory,
    `touch su lock wall plain open; chmod 4755 su; chmod 2755 wall; chmod 2644 lock; chmod 666 open
    mkdir tmp all; chmod 1777 tmp; chmod 777 all; ln -s su link`,
  )
  const { found, lines } = check(readDirectory(directory, false).top)
  t.same(lines.sort(), [
    'warning: /all: everybody may replace what is in it (0777)',
    'warning: /open: everybody may change it (0666)',
    'warning: /su: whoever runs it does so as user 0 (4755)',
    'warning: /wall: whoever runs it does so as group 0 (2755)',
  ])
  t.same(found.map(({ path, mode }) => `${path} ${mode}`).sort(), ['/su 4755', '/wall 2755'])
  const root = makeTree(t)
  sh(root, 'touch su; chmod 4755 su')
  t.match(
    check(readDirectory(directory, false).top, root).lines.find((line) => line.includes('/su')),
    /^notice: .*so is the root's own$/,
  )
})

const cannot = spawnSync('sh', ['-c', 'cd "$(mktemp -d)" && touch x && setcap cap_net_raw+ep x']).status !== 0

t.test(
  'capabilities, in a directory and in an archive',
  { skip: cannot && 'no setcap(8) here' },
  async (t) => {
    const directory = makeTree(t)
    // On a file system that has extended attributes for root.
    execFileSync('sh', [
      '-ec',
      'cd "$0"; echo x >ping; setcap cap_net_raw,cap_bpf+ep ping; tar --xattrs --xattrs-include="*" --format=posix -cf image.tar ping',
      directory,
    ])
    const expected = ['cap_bpf', 'cap_net_raw']
    const read = readDirectory(directory, false)
    t.equal(read.hasCapabilities, true)
    t.same(
      check(read.top).found.map(({ capabilities }) => [...capabilities].sort()),
      [expected],
    )
    const { top } = await readArchive(
      join(directory, 'image.tar'),
      { image: undefined, architecture: undefined },
      false,
    )
    const { found, lines } = check(top)
    t.same(
      found.map(({ capabilities }) => [...capabilities].sort()),
      [expected],
    )
    t.same(lines, ['warning: /ping: whoever runs it has cap_net_raw, cap_bpf'])
  },
)

t.test('values of security.capability', async (t) => {
  const value = (...words: number[]): string => {
    const bytes = Buffer.alloc(4 * words.length)
    for (const [index, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, 4 * index)
    return bytes.toString('latin1')
  }
  t.same(readCapabilities(value(0x02000001, 1 << 10, 0, 0, 0)), ['cap_net_bind_service'])
  t.same(readCapabilities(value(0x02000000, 0, 0, 1 << 7, 0)), ['cap_bpf'])
  t.same(readCapabilities(value(0x02000000, 0, 1, 0, 0x80000000)), ['cap_chown', 'capability 63'])
  t.same(readCapabilities(value(0x01000000, 1 << 31)), ['cap_setfcap'])
  t.same(readCapabilities(''), [])
})
