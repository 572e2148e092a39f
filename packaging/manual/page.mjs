// A manual page, written in Markdown, as roff for man(1).
//
// marked reads the Markdown. The macros are made here, because the compilers on npm know no tagged
// paragraphs, which most of these pages are, and mandoc complains about what they make. docs/development.md,
// "How to change a manual", has the conventions.

import { basename } from 'node:path'
import { marked } from 'marked'
import { escapeCode, fill, plainText, renderInline, slugOf } from './inline.mjs'

/** The columns that are left on a terminal of 80, in a section and in the text of a term. */
const SECTION_WIDTH = 72
const TERM_WIDTH = 65

/**
 * The page in `text` as roff. `file`: its name, such as `hostext.7.md`. `version` and `manual` stand at its
 * foot and head. `anchors`: the headings of all pages that may be linked to, by file. Throws an Error that
 * names the file if something has no form in a manual page, or a link leads nowhere.
 */
export function renderPage(text, { file, version, manual, anchors = new Map([[file, anchorsOf(text)]]) }) {
  const page = { file, anchors }
  const [, name, section] = /^(.+)\.([1-8])\.md$/.exec(basename(file)) ?? fail(page, 'not NAME.SECTION.md')
  const [title, ...tokens] = marked.lexer(text)
  if (title?.type !== 'heading' || title.depth !== 1 || title.text !== `${name}(${section})`)
    fail(page, `it does not begin with "# ${name}(${section})"`)
  const [, date] = /^<!-- date: (\d{4}-\d\d-\d\d) -->$/m.exec(text) ?? fail(page, 'no line <!-- date: … -->')
  const lines = [
    // Programs that run tbl(1) only if a page asks for it look here.
    ...(tokens.some(({ type }) => type === 'table') ? ['\'\\" t'] : []),
    `.\\" Made from docs/man/${file}`,
    `.TH ${name.toUpperCase()} ${section} ${date} "hostext ${version}" "${manual}"`,
    ...renderBlocks(tokens, page),
  ]
  // The dash by which makewhatis(8) knows the names of a page from what it is about.
  return `${lines.join('\n')}\n`.replace(/^(\.SH NAME\n.*?) - /m, '$1 \\- ')
}

/** The anchors of the headings of a page, as they are on a web page of it. */
export function anchorsOf(text) {
  const headings = marked.lexer(text).filter(({ type }) => type === 'heading')
  return new Set(headings.map(({ tokens }) => slugOf(plainText(tokens))))
}

function fail({ file }, why) {
  throw new Error(`${file}: ${why}`)
}

/**
 * `start`: the macro that begins a paragraph here. `first`: the one for the first block, which needs none
 * after a heading or a tag.
 */
function renderBlocks(tokens, page, start = '.PP', first = undefined) {
  const lines = []
  let next = first
  for (const token of tokens) {
    const block = renderBlock(token, page, start)
    if (block === undefined) continue
    const begins = token.type !== 'heading' && token.type !== 'list'
    if (begins && next !== undefined) lines.push(next)
    lines.push(...block)
    next = token.type === 'heading' ? undefined : start
  }
  return lines
}

/** Without the macro that begins it; undefined if a reader does not see it. */
function renderBlock(token, page, start) {
  switch (token.type) {
    case 'space':
      return undefined
    case 'html':
      return /^<!--[\s\S]*-->\s*$/.test(token.raw) ? undefined : fail(page, `HTML: ${token.raw.trim()}`)
    case 'heading':
      return renderHeading(token, page)
    case 'paragraph':
    case 'text':
      return fill(renderInline(token.tokens, page))
    case 'code':
      return renderCode(token, start === '.PP' ? SECTION_WIDTH : TERM_WIDTH)
    case 'table':
      return renderTable(token, page)
    case 'list':
      return renderList(token, page, start)
    default:
      return fail(page, `a manual page has no ${token.type}: ${token.raw.trim()}`)
  }
}

function renderHeading({ depth, text, tokens }, page) {
  if (depth === 2) return [`.SH ${escapeCode(text.toUpperCase())}`]
  if (depth === 3) return [`.SS ${renderInline(tokens, page)}`]
  return fail(page, `a heading of depth ${depth}: ${text}`)
}

/** What a terminal shows is broken where it is too long, or man(1) would do it, in the middle of words. */
function renderCode({ lang = '', text }, width) {
  const lines = text.split('\n')
  const shown = lang.startsWith('console') ? lines.flatMap((line) => breakLine(line, width)) : lines
  return ['.EX', ...shown.map(codeLine), '.EE']
}

function breakLine(line, width) {
  if (line.length <= width) return [line]
  const space = line.lastIndexOf(' ', width)
  const first = line.slice(0, Math.max(space, 0))
  return first.trim() === '' ? [line] : [first, ...breakLine(`    ${line.slice(space + 1)}`, width)]
}

/** A leading dot or apostrophe would make it a request; a line without anything would be one too few. */
function codeLine(line) {
  const escaped = escapeCode(line)
  return /^[.']|^$/.test(escaped) ? `\\&${escaped}` : escaped
}

/** `*` lists terms, each in a line that ends in a colon; `-` and numbers list what they list elsewhere. */
function renderList({ raw, ordered, start: number, items }, page, start) {
  const lines = items.flatMap((item, index) => {
    if (raw.startsWith('*')) return renderTerm(item, page)
    const [mark, width] = ordered ? [`${Number(number) + index}.`, 4] : ['\\(bu', 2]
    return [`.IP ${mark} ${width}`, ...renderBlocks(item.tokens, page, `.IP "" ${width}`)]
  })
  return start === '.PP' ? lines : ['.RS', ...lines, '.RE']
}

/** A tagged paragraph. Several tags are lines with a hard break between them. */
function renderTerm({ tokens: [first, ...more], raw }, page) {
  const { terms, rest } = splitTerms(first?.tokens ?? [])
  if (terms.length === 0) fail(page, `a term is a line that ends in a colon: ${raw.trim()}`)
  const tags = terms.flatMap((term, index) => [index === 0 ? '.TP' : '.TQ', renderInline(term, page)])
  const text = fill(renderInline(rest, page))
  return [...tags, ...text, ...renderBlocks(more, page, '.IP', text.length > 0 ? '.IP' : undefined)]
}

/** The tokens of each term, and those behind the colon that ends the last one. */
function splitTerms(tokens) {
  const terms = [[]]
  for (const [index, token] of tokens.entries()) {
    const term = terms[terms.length - 1]
    const end = token.type === 'text' && /:(?:\n|$)/.exec(token.text)
    if (end) {
      term.push({ ...token, text: token.text.slice(0, end.index) })
      const rest = { ...token, text: token.text.slice(end.index + 1).trimStart() }
      return { terms, rest: [rest, ...tokens.slice(index + 1)] }
    }
    if (token.type === 'br') terms.push([])
    else term.push(token)
  }
  return { terms: [], rest: tokens }
}

/** Columns are as wide as their widest cell. If that is too much together, the widest column is filled. */
function renderTable({ header, rows }, page) {
  const widths = header.map((cell, column) =>
    Math.max(...[cell, ...rows.map((row) => row[column])].map(({ tokens }) => plainText(tokens).length)),
  )
  const total = widths.reduce((sum, width) => sum + width, 3 * (widths.length - 1))
  const filled = total > SECTION_WIDTH ? widths.indexOf(Math.max(...widths)) : undefined
  const bold = (tokens) => (tokens.length > 0 ? `\\fB${renderInline(tokens, page, 'B')}\\fR` : '')
  const plain = (tokens) => renderInline(tokens, page)
  const line = (cells, render) =>
    cells.flatMap(({ tokens }, column) => {
      const text = render(tokens)
      const cell = column === filled ? ['T{', '.na', '.nh', ...fill(text), 'T}'] : [text]
      return [...cell.slice(0, -1), `${cell.at(-1)}${column < cells.length - 1 ? '\t' : '\n'}`]
    })
  const columns = widths.map((_, column) => (column === filled ? 'lx' : 'l'))
  const head = header.some(({ text }) => text !== '') ? [line(header, bold)] : []
  const cells = [...head, ...rows.map((row) => line(row, plain))]
  const text = cells.map((parts) => parts.join('\n').replaceAll('\t\n', '\t'))
  return ['.TS', `${columns.join(' ')}.`, ...text.join('').trimEnd().split('\n'), '.TE']
}
