import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ignoreDeadlocks } from '../../../packaging/runtime/deadlock-checks.mjs'
import { offsetOf, readElf, symbolNamed } from '../../../packaging/runtime/elf.mjs'
import { OFFICIAL } from '../../../packaging/runtime/official.mjs'
import { cannotFetch, officialNode, runtimeDirectory } from '../../support/runtime.js'

const skip = cannotFetch ?? false
const SYMBOLS: [string, string] = ['.symtab', '.strtab']
const VARIABLE = /synch_deadlock_detection/

t.test('what Abseil does about a deadlock', { skip }, async (t) => {
  for (const arch of ['x64', 'arm64'] as const) {
    const official = readElf(readFileSync(officialNode(arch)))
    const { address, size } = symbolNamed(official, SYMBOLS, VARIABLE)
    t.equal(size, 4, arch)
    const at = offsetOf(official, address)
    t.equal(official.bytes.readInt32LE(at), 2, `${arch}: the official build ends`)
    const trimmed = readElf(readFileSync(join(runtimeDirectory(arch), 'node')))
    t.equal(trimmed.bytes.readInt32LE(offsetOf(trimmed, address)), 0, `${arch}: ours does not look`)

    const before = Buffer.from(official.bytes)
    ignoreDeadlocks(official)
    before[at] = 0
    t.ok(before.equals(official.bytes), `${arch}: nothing else is changed`)
    t.throws(() => ignoreDeadlocks(official), { message: 'Abseil does 0 about a deadlock, not 2' })
    official.sections = official.sections.map((section) =>
      section.name === '.symtab' ? { ...section, size: 0 } : section,
    )
    t.throws(() => ignoreDeadlocks(official), { message: /^it has 0 symbols like .*, not one$/ })
  }
})

t.test(
  'its graph of locks takes no memory',
  { skip: skip || !(process.arch in OFFICIAL.integrity) },
  async (t) => {
    const faults = (node: string): number =>
      Number(
        execFileSync(node, ['-e', 'console.log(process.resourceUsage().minorPageFault)'], {
          encoding: 'utf8',
          env: { PATH: process.env.PATH },
        }),
      )
    const [theirs, ours] = [officialNode(process.arch), join(runtimeDirectory(process.arch), 'node')].map(
      faults,
    )
    t.ok((theirs as number) - (ours as number) > 150, `${theirs} pages, and ${ours}`)
  },
)
