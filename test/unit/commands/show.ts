import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { showExtension } from '../../../src/commands/show.js'
import { renderLines } from '../../../src/report/screen.js'
import { runningCase } from '../../support/running.js'

t.test('what an extension is, and what it does', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  mkdirSync(join(root, 'usr/share/base'), { recursive: true })
  writeFileSync(join(root, 'usr/share/base/replaced'), '')
  const { document, lines, status } = showExtension(call(['override']))
  t.equal(status, 0)
  t.match(document, {
    extension: { name: 'override', state: 'stacked', rank: 'override=10, above the root' },
    labels: { 'io.balena.image.override': '10' },
    effects: {
      adds: { count: Number },
      replaces: {
        count: 1,
        paths: ['/usr/share/base/replaced'],
        of: { '/usr/share/base/replaced': 'the root' },
      },
      hidden: { count: 0 },
    },
  })
  const text = renderLines(lines, call().screen)
  t.match(text, /^override \(override:1, [0-9a-f]{12}\)\nstate {7}stacked/)
  t.match(text, '\nreplaces    1 file\n            /usr/share/base/replaced, that of the root\n')
  t.match(text, /\nlabel {7}io\.balena\.image\.class=overlay\n/)
})

t.test('what hides its files', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  const [own] = (showExtension(call(['additive'])).document.effects as { adds: { paths: string[] } }).adds
    .paths
  mkdirSync(join(root, own as string, '..'), { recursive: true })
  writeFileSync(join(root, own as string), '')
  const { effects } = showExtension(call(['additive'])).document
  t.match(effects, { hidden: { count: 1, by: { [own as string]: 'the root' } } })
})

t.test('one that is left out, and none', async (t) => {
  const { call } = await runningCase(t, 'started')
  const name = 'silly_lumiere'
  t.match(showExtension(call([name])).document, { extension: { name, state: 'left out' }, effects: null })
  t.throws(() => showExtension(call(['nobody'])), /no extension has the name nobody/)
})
