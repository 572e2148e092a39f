import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { marked } from 'marked'
import t from 'tap'
import { renderManual } from '../../packaging/manual/manual.mjs'
import { anchorsOf } from '../../packaging/manual/page.mjs'
import { type Example, examplesIn, normalized, shows, typeAgain } from '../support/examples.js'
import { PROJECT } from '../support/paths.js'

/**
 * The manual pages: mandoc has nothing to say about them, and they fit a terminal. All documents: what their
 * examples show is what the commands print (`HOSTEXT_UPDATE=1` writes that anew), and their links lead
 * somewhere.
 */
const documents = ['README.md', ...markdownIn('docs'), ...markdownIn('docs/man')]
const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8')
const pages: Map<string, string> = renderManual(join(PROJECT, 'docs/man'), '0.1.0')

function markdownIn(directory: string): string[] {
  const names = readdirSync(join(PROJECT, directory)).filter((name) => name.endsWith('.md'))
  return names.sort().map((name) => `${directory}/${name}`)
}

/** The output of mandoc; undefined if it is not there. */
function mandoc(page: string, ...words: string[]): string | undefined {
  const { stdout, error } = spawnSync('mandoc', words, { encoding: 'utf8', input: page })
  return error ? undefined : stdout
}
/** What stands between a character and the one that is printed over it, to make it bold. */
const BACKSPACE = '\u0008'
const noMandoc = mandoc('', '-Tlint') === undefined && 'no mandoc here'

t.test('mandoc has nothing to say about a page', { skip: noMandoc }, async (t) => {
  t.same([...pages.keys()], ['hostext.7', 'hostext.8', 'hostext.conf.5'])
  for (const [name, page] of pages) t.equal(mandoc(page, '-Tlint'), '', name)
  t.match(mandoc(`${pages.get('hostext.8')}.nonsense\n`, '-Tlint'), /nonsense/, 'it looks at them')
})

t.test('a page fits a terminal of 80 columns', { skip: noMandoc }, async (t) => {
  for (const [name, page] of pages) {
    const shown = (mandoc(page, '-Tutf8', '-Owidth=80') ?? '')
      .replaceAll(new RegExp(`.${BACKSPACE}`, 'g'), '')
      .split('\n')
    t.ok(shown.length > 60, `${name} is rendered`)
    t.same(
      shown.filter((line) => [...line].length > 80),
      [],
      name,
    )
  }
})

t.test('links lead somewhere', async (t) => {
  for (const path of documents) {
    for (const href of linksIn(read(path))) {
      if (/^[a-z]+:/.test(href)) continue
      const [file, anchor] = href.split('#') as [string, string?]
      const target = file === '' ? path : join(path, '..', file)
      t.ok(existsSync(join(PROJECT, target)), `${path}: ${href}`)
      if (anchor !== undefined) t.ok(anchorsOf(read(target)).has(anchor), `${path}: ${href}`)
    }
  }
})

function linksIn(text: string): string[] {
  const links: string[] = []
  marked.walkTokens(marked.lexer(text), (token) => {
    if (token.type === 'link') links.push(token.href)
  })
  return links
}

/** One of its machines has a deleted file, which only root can make. */
const notRoot = process.getuid?.() !== 0 && 'this needs root'

t.test('an example shows what the commands print', { skip: notRoot }, async (t) => {
  let count = 0
  for (const path of documents) {
    for (const example of examplesIn(read(path))) {
      count++
      const typed = await typeAgain(t, example)
      if (process.env.HOSTEXT_UPDATE && !shows(example.text, typed)) update(path, example, typed)
      else if (shows(example.text, typed)) t.pass(`${path}: ${example.text.split('\n', 1)[0]}`)
      else t.equal(normalized(example.text), normalized(typed), path)
    }
  }
  t.ok(count >= 6, `${count} examples`)
})

/** Writes what was printed into the document, with the indentation of the block that it replaces. */
function update(path: string, { text, mark }: Example, typed: string): void {
  const document = read(path)
  const pattern = [`\`\`\`${mark}`, ...text.split('\n'), '```']
    .map((line) => line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('\n *')
  const [old = '', indentation = ''] = new RegExp(`^( *)${pattern}$`, 'm').exec(document) ?? []
  const lines = [`\`\`\`${mark}`, ...typed.trimEnd().split('\n'), '```']
  const fresh = lines.map((line) => (line === '' ? '' : indentation + line)).join('\n')
  writeFileSync(
    join(PROJECT, path),
    document.replace(old, () => fresh),
  )
}

t.test('what an example may leave out, and may not', async (t) => {
  t.ok(shows('# hostext plan\na\n...\nd', '# hostext plan\na\nb\nc\nd\n'))
  t.ok(shows('# hostext plan\n...', '# hostext plan\n'), 'nothing may be left out, too')
  t.notOk(shows('# hostext plan\na\n...\nd', '# hostext plan\na\nb\nc\n'))
  t.notOk(shows('# hostext plan\na', '# hostext plan\na\nb\n'))
  t.ok(shows('made in 1.8 s, with hostext 0.1.0', 'made in 1.8 s, with hostext 2.0.11'))
  t.notOk(shows('0.1.0', '2.0.0'))
  t.same(examplesIn('```console\n# reboot\n```\n'), [], 'no machine, no example')
  t.throws(() => examplesIn('```console machine=a boted\n# hostext plan\n```\n'), /not the mark .* boted/)
})
