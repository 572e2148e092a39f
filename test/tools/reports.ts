import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROJECT } from '../support/paths.js'

const BOOT = join(PROJECT, 'test/boot')
const files = ['checks.ts', ...readdirSync(join(BOOT, 'cases')).map((name) => `cases/${name}`)]

/** The keys under which the scripts of this text report, and those that its code looks up. */
function keysOf(text: string): { reported: Set<string>; read: Set<string> } {
  const keys = (expression: RegExp) => new Set([...text.matchAll(expression)].map(([, key]) => key as string))
  return { reported: keys(/(?<!a )\breport ([a-z][\w-]*) /g), read: keys(/['"`]([\w-]+)(?:\.status)?['"`]/g) }
}

t.test('what a machine reports is looked at', async (t) => {
  const keys = new Map(files.map((file) => [file, keysOf(readFileSync(join(BOOT, file), 'utf8'))]))
  // Of what every case reports, some only says what went wrong: brief.ts.
  const brief = keysOf(readFileSync(join(BOOT, 'brief.ts'), 'utf8')).read
  const byAny = new Set([...brief, ...[...keys.values()].flatMap(({ read }) => [...read])])
  let count = 0
  for (const [file, { reported, read }] of keys) {
    count += reported.size
    const readers = file === 'checks.ts' ? byAny : read
    t.same(
      [...reported].filter((key) => !readers.has(key)),
      [],
      file,
    )
  }
  t.ok(count > 100, `${count} reports in ${files.length} files`)
})
