import { spawnSync } from 'node:child_process'
import t from 'tap'
import { renderManual } from '../../../packaging/manual/manual.mjs'
import { anchorsOf, renderPage } from '../../../packaging/manual/page.mjs'
import { makeTree } from '../../support/tree.js'

const HEAD = '# x(7)\n\n<!-- date: 2026-11-29 -->\n\n'

/** The roff of a page with this text, without its first lines. */
function render(text: string): string[] {
  const page: string = renderPage(HEAD + text, { file: 'x.7.md', version: '1.0', manual: 'Things' })
  return page
    .trimEnd()
    .split('\n')
    .slice(page.startsWith("'") ? 3 : 2)
}

t.test('the first lines', async (t) => {
  const page: string = renderPage(`${HEAD}a\n`, { file: 'x.7.md', version: '1.0', manual: 'Things' })
  t.equal(page, '.\\" Made from docs/man/x.7.md\n.TH X 7 2026-11-29 "hostext 1.0" "Things"\na\n')
})

t.test('blocks', async (t) => {
  t.same(render('## See also\n\na\nb\n\nc\n'), ['.SH SEE ALSO', 'a b', '.PP', 'c'])
  t.same(render('### [Boot]\n\na\n'), ['.SS [Boot]', 'a'])
  t.same(render("a\n\n```\n.x -y '\n\nz\n```\n\nb"), [
    ...['a', '.PP', '.EX', '\\&.x \\-y \\(aq', '\\&', 'z', '.EE', '.PP', 'b'],
  ])
  t.same(render('- a\n- b\n  c\n\n  d\n'), ['.IP \\(bu 2', 'a', '.IP \\(bu 2', 'b c', '.IP "" 2', 'd'])
  t.same(render('2. a\n3. b\n'), ['.IP 2. 4', 'a', '.IP 3. 4', 'b'])
})

t.test('the name', async (t) => {
  t.same(render('## Name\n\nx, y - z - a\n'), ['.SH NAME', 'x, y \\- z - a'])
})

t.test('what a terminal shows is broken at spaces', async (t) => {
  const long = `${'word '.repeat(15)}end`
  const broken = ['.EX', 'word '.repeat(14).trim(), '    word end', '.EE']
  t.same(render(`\`\`\`console machine=x\n${long}\n\`\`\`\n`), broken)
  t.same(render(`\`\`\`\n${long}\n\`\`\`\n`), ['.EX', long, '.EE'], 'code is not')
  const one = 'x'.repeat(90)
  for (const line of [one, `  ${one}`])
    t.same(render(`\`\`\`console\n${line}\n\`\`\`\n`), ['.EX', line, '.EE'], 'and no word is')
})

t.test('terms', async (t) => {
  t.same(render('* `-x` *N*:\n  Text\n  more.\n\n  Second.\n* a: b:\n  c\n'), [
    ...['.TP', '\\fB\\-x\\fR \\fIN\\fR', 'Text more.\\&', '.IP', 'Second.\\&', '.TP', 'a: b', 'c'],
  ])
  t.same(render('* a\\\n  b:\n  c\n'), ['.TP', 'a', '.TQ', 'b', 'c'])
  t.same(render('* a:\n\n  ```\n  x\n  ```\n'), ['.TP', 'a', '.EX', 'x', '.EE'])
  t.same(render('* a:\n  b\n\n  - c\n'), ['.TP', 'a', 'b', '.RS', '.IP \\(bu 2', 'c', '.RE'])
})

t.test('tables', async (t) => {
  t.same(render('| a | |\n|---|---|\n| `c` | *d* |\n'), [
    ...['.TS', 'l l.', '\\fBa\\fR\t', '\\fBc\\fR\t\\fId\\fR', '.TE'],
  ])
  t.same(render('| | |\n|---|---|\n| c | d |\n'), ['.TS', 'l l.', 'c\td', '.TE'], 'no head')
  const long = 'word '.repeat(20).trim()
  const lines = render(`| a | b |\n|---|---|\n| c | ${long} |\n| e | f |\n`)
  t.same(
    lines.slice(0, 6),
    ['.TS', 'l lx.', '\\fBa\\fR\tT{', '.na', '.nh', '\\fBb\\fR'],
    'the widest is filled',
  )
  t.same(lines.slice(6, 11), ['T}', 'c\tT{', '.na', '.nh', long.slice(0, 74)])
  const page: string = renderPage(`${HEAD}| a |\n|---|\n| b |\n`, {
    file: 'x.7.md',
    version: '1',
    manual: '',
  })
  t.equal(page.split('\n', 1)[0], `'\\" t`, 'man(1) is to run tbl(1)')
})

t.test('inside a paragraph', async (t) => {
  t.same(render('**a** ***b*** see mount(8), `x(8)`'), [
    '\\fBa\\fR \\fI\\fBb\\fI\\fR see \\fB\\%mount\\fR(8), \\fBx(8)\\fR',
  ])
  t.same(render("a-b `c-d` *e-f* it's `it's`"), ["a-b \\fBc\\-d\\fR \\fIe\\-f\\fR it's \\fBit\\(aqs\\fR"])
  t.same(render('a \\\\ b ~ c ^ d • e'), ['a \\e b \\(ti c \\(ha d \\[u2022] e'])
  t.same(render('*/usr/lib/x* `/usr/lib`'), ['\\fI/usr/\\:lib/\\:x\\fR \\fB/usr/lib\\fR'])
  t.same(render('a\\\nb'), ['a', '.br', 'b'])
  t.same(render('## B c\n\n[B c](#b-c) [there](https://example.org)'), [
    ...['.SH B C', '\\fBB c\\fR there \\(lahttps://example.org\\(ra'],
  ])
})

t.test('no line is a request, or ends a sentence', async (t) => {
  const words = 'word '.repeat(14).trim()
  t.same(render(`${words} words. .x 'y and\n.z (end.)`), [`${words} words.\\&`, "\\&.x 'y and .z (end.)\\&"])
})

t.test('a mistake is named, with its file', async (t) => {
  for (const [text, why] of [
    ['a <b>c</b>', /^x\.7\.md: a manual page has no html: <b>/],
    ['<p>a</p>\n', /^x\.7\.md: HTML: <p>/],
    ['> a', /^x\.7\.md: a manual page has no blockquote/],
    ['#### a', /^x\.7\.md: a heading of depth 4: a/],
    ['* a\n  b', /^x\.7\.md: a term is a line that ends in a colon: \* a/],
    ['a &lt; b', /^x\.7\.md: an entity of HTML: a &lt; b/],
    ['![a](b.png)', /^x\.7\.md: a manual page has no image/],
    ['[a](#nowhere)', /^x\.7\.md: the link leads nowhere: #nowhere/],
    ['[a](y.8.md)', /^x\.7\.md: the link leads nowhere: y\.8\.md/],
  ] as const)
    t.throws(() => render(text), { message: why }, text)
  const options = { file: 'x.7.md', version: '1', manual: '' }
  t.throws(() => renderPage('# y(7)\n', options), { message: /^x\.7\.md: it does not begin with "# x\(7\)"/ })
  t.throws(() => renderPage('# x(7)\n\na\n', options), { message: /^x\.7\.md: no line <!-- date: / })
  t.throws(() => renderPage(HEAD, { ...options, file: 'x.md' }), { message: 'x.md: not NAME.SECTION.md' })
})

t.test('all pages of a directory', async (t) => {
  const page = (name: string, text: string): string => HEAD.replace('x(7)', name) + text
  const directory = makeTree(t, {
    'a.7.md': page('a(7)', '## Terms of use\n\n[b(8)](b.8.md) and [that](b.8.md#in-short)\n'),
    'b.8.md': page('b(8)', '### In short\n\n[a(7)](a.7.md#terms-of-use)\n'),
    'notes.md': 'no page\n',
  })
  const pages: Map<string, string> = renderManual(directory, '1.0')
  t.same([...pages.keys()], ['a.7', 'b.8'])
  t.match(pages.get('a.7'), /^\\fBb\\fR\(8\) and that$/m)
  t.same(anchorsOf('# A `b`, c!\n\n## Ü-x\n'), new Set(['a-b-c', 'ü-x']))
})

const noMandoc = spawnSync('mandoc', ['-Tlint'], { input: '' }).error !== undefined && 'no mandoc here'

t.test('mandoc shows the text as it was written', { skip: noMandoc }, async (t) => {
  const hard = [
    '.x',
    "'y",
    '\\n',
    '\\fBz',
    '-',
    '--a',
    'it`s',
    '^~',
    '"',
    '%',
    '.',
    '\\',
    '\\&',
    '\\"',
    '…',
    '●',
  ]
  const text = hard.map((word) => `\`${word.includes('`') ? 'x' : word}\``)
  const { stdout } = spawnSync('mandoc', ['-Tutf8', '-Owidth=200'], {
    encoding: 'utf8',
    input: renderPage(
      `${HEAD}## Name\n\nx - y\n\n## Text\n\n${text.join(' ')}\n\n\`\`\`\n${hard.join('\n')}\n\`\`\`\n`,
      {
        ...{ file: 'x.7.md', version: '1', manual: 'm' },
      },
    ),
  })
  const shown = stdout.replaceAll(new RegExp(`.${'\u0008'}`, 'g'), '').split('\n')
  t.ok(
    shown.includes(`       ${hard.map((word) => (word.includes('`') ? 'x' : word)).join(' ')}`),
    shown.join('\n'),
  )
  const from = shown.indexOf('       .x')
  t.same(
    shown.slice(from, from + hard.length),
    hard.map((word) => `       ${word}`),
  )
})
