import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { showList, size } from '../../../src/commands/list.js'
import { find } from '../../support/data-root.js'
import { runningCase } from '../../support/running.js'
import { writeTree } from '../../support/tree.js'

t.test('a row for each extension', async (t) => {
  const { call, root } = await runningCase(t, 'known-good')
  const { lines, document, status } = showList(call())
  t.equal(status, 0)
  t.match(lines[0], /^NO {2}NAME +IMAGE +RANK +STATE +SIZE +WHY$/)
  t.match(lines[1], /^0 {3}override +override:1 +override=10 +stacked +\d+ B$/)
  t.equal(lines.length, 5)
  const [first] = document.extensions as object[]
  t.match(first, { name: 'override', state: 'stacked', number: 0 })
  t.same(showList(call([], { names: true })).lines, ['override', 'many-layers', 'one-layer', 'additive'])

  const boot = JSON.parse(readFileSync(join(root, 'run/hostext/boot.json'), 'utf8'))
  const { id } = boot.extensions[2]
  renameSync(join(root, 'var/lib/docker/containers', id), join(root, 'gone'))
  const [, , , gone] = showList(call()).lines
  t.match(gone, /^2 {3}one-layer +one-layer:1 +feature +removed .*no such container$/)
})

t.test('what was bad, and what is kept', async (t) => {
  const { call } = await runningCase(t, 'rolled-back-to-good')
  const states = (isAll: boolean) =>
    (showList(call([], { all: isAll })).document.extensions as { name: string; state: string }[]).map(
      ({ name, state }) => `${name}: ${state}`,
    )
  t.ok(
    states(false).some((row) => row.endsWith(': bad')),
    states(false).join(', '),
  )
  t.ok(states(true).length >= states(false).length)
})

t.test('what is left out, and nothing at all', async (t) => {
  const { call } = await runningCase(t, 'started')
  const rows = showList(call([], {}, 200)).lines
  t.ok(
    rows.some((row) => /left out +- +\S/.test(String(row))),
    rows.join('\n'),
  )
  for (const width of [80, 200])
    for (const row of showList(call([], {}, width)).lines) t.ok(String(row).length <= width, String(row))
  const none = await runningCase(t, 'no-engine')
  t.match(showList(none.call()).lines, [/^no container is a host extension: no engine in /])
  const plain = await runningCase(t, 'known-good', 'emergency')
  const pending = showList(plain.call([], {}, 200)).lines.map(String)
  t.equal(pending.filter((row) => /pending .*emergency on the kernel command line$/.test(row)).length, 4)
})

t.test('each of several that cannot be read, and of several of one name, has its row', async (t) => {
  const { call, root } = await runningCase(t, 'known-good')
  for (const digit of ['a', 'b'])
    writeTree(root, { [`var/lib/docker/containers/${digit.repeat(64)}/config.v2.json`]: '{"ID"' })
  const rows = () => showList(call([], {}, 200)).document.extensions as { name: string; state: string }[]
  const names = () => rows().map(({ name, state }) => `${name}: ${state}`)
  t.same(names().slice(4), ['a container: left out', 'a container: left out'])
  // The same image again, in an engine that is not the one in use.
  const other = join(root, 'var/lib/balena-engine')
  cpSync(join(root, 'var/lib/docker'), other, { recursive: true })
  const { id, config } = find(other, 'override')
  const newId = 'c'.repeat(64)
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll(id, newId))
  for (const directory of ['containers', 'image/overlay2/layerdb/mounts'])
    renameSync(join(other, directory, id), join(other, directory, newId))
  t.same(
    names().filter((row) => row.startsWith('override')),
    ['override: stacked', 'override: left out'],
  )
})

t.test('what is left out on request is not to come', async (t) => {
  const { call, root } = await runningCase(t, 'known-good')
  writeTree(root, { 'etc/hostext.conf': '[Stack]\nSkip=one-layer\n' })
  // Another one is not prepared.
  const trees = join(root, 'var/lib/docker/hostext/trees')
  const { extensions } = JSON.parse(readFileSync(join(root, 'run/hostext/boot.json'), 'utf8'))
  rmSync(join(trees, extensions[0].tree), { recursive: true })
  const rows = showList(call([], {}, 200)).lines.map(String)
  t.match(rows[3], /one-layer .* removed /)
  t.notOk(rows.some((row) => /one-layer .* pending/.test(row)))
})

t.test('sizes', async (t) => {
  t.same([0, 1023, 1024, 1536, 5e6, 2e8, 3e12].map(size), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '4.8 MiB',
    '191 MiB',
    '2.7 TiB',
  ])
})
