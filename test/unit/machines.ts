import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROJECT } from '../support/paths.js'

/** The table of machines names cases that are booted: `npm run test:full` boots each on all releases. */
t.test('every machine of docs/machines.md is a case', async (t) => {
  const directory = join(PROJECT, 'test/boot/cases')
  const cases = readdirSync(directory)
    .map((name) =>
      readFileSync(join(directory, name), 'utf8').replaceAll(/\$\{rootFilesystem\}/g, 'squashfs'),
    )
    .join('\n')
  const rows = readFileSync(join(PROJECT, 'docs/machines.md'), 'utf8').match(/^\| .* `[^`]+` \|$/gm) ?? []
  t.ok(rows.length > 20, `${rows.length} machines`)
  for (const row of rows) {
    const name = /`([^`]+)` \|$/.exec(row)?.[1] as string
    t.ok(cases.includes(`name: '${name}`) || cases.includes(`name: \`${name}`), name)
  }
})
