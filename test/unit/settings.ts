import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DEFAULTS, readConfiguration, SETTINGS } from '../../src/machine/configuration.js'
import { PROJECT } from '../support/paths.js'
import { makeTree } from '../support/tree.js'

/**
 * The code, the manual and the file with the defaults name the same settings, in the same sections, with the
 * same defaults.
 */
const KNOWN = Object.keys(SETTINGS).sort()
const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8')

/** `Section.Key` of each line that `setting` recognizes, below the line that `header` recognizes. */
function settingsIn(text: string, header: RegExp, setting: RegExp): string[] {
  let section = ''
  return text.split('\n').flatMap((line) => {
    section = header.exec(line)?.[1] ?? section
    const key = setting.exec(line)?.[1]
    return key === undefined ? [] : `${section}.${key}`
  })
}

t.test('hostext.conf has every setting once', async (t) => {
  const text = read('generators/hostext.conf')
  t.same(settingsIn(text, /^\[(.*)\]$/, /^#?([A-Za-z]+)=/).sort(), KNOWN)
})

t.test('the defaults that it shows are the defaults', async (t) => {
  const shown = read('generators/hostext.conf').replaceAll(/^#(?=[A-Za-z]+=)/gm, '')
  const root = { prefix: makeTree(t, { 'etc/hostext.conf': shown }) }
  t.same(readConfiguration(root), { configuration: DEFAULTS, messages: [] })
})

t.test('the manual describes every setting, each with its default', async (t) => {
  const manual = read('docs/man/hostext.conf.5.md')
  t.same(settingsIn(manual, /^### \[(.*)\]$/, /^\* `([A-Za-z]+)=`:$/).sort(), KNOWN)
  const values = [...read('generators/hostext.conf').matchAll(/^#([A-Za-z]+)=(.+)$/gm)]
  t.equal(values.length, KNOWN.length - 3, 'all but DataRoot=, Skip= and Essential= have a default to name')
  for (const [, key, value] of values) {
    const [, entry = ''] = new RegExp(`^\\* \`${key}=\`:\\n((?: .*\\n|\\n)*)`, 'm').exec(manual) ?? []
    const plain = entry.replaceAll('`', '').replaceAll(/\s+/g, ' ')
    const named = plain.includes(`Default: ${value}.`) || plain.includes(`${value}, the default`)
    t.ok(named, `${key}=${value}: ${plain}`)
  }
})
