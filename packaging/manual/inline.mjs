// A manual page, written in Markdown, as roff for man(1): what is inside a paragraph.

import { posix } from 'node:path'

/** Bytes of a line of roff, which mandoc wants to be fewer than 80. */
const LINE = 78

/** A page of the manual in running text. */
const REFERENCE = /\b([A-Za-z][\w.@+-]*)\(([1-8])\)/g

/**
 * Renders what marked has found inside a block. `page`: its file and the anchors that there are. `font`: the
 * one around it. Code is bold: it is to be typed, or read, as it stands. Emphasis is italic: a path, or what
 * the reader replaces. Throws an Error that names the file.
 */
export function renderInline(tokens, page, font = 'R') {
  return tokens.map((token) => renderToken(token, page, font)).join('')
}

function renderToken(token, page, font) {
  const within = (inner) => `\\f${inner}${renderInline(token.tokens, page, inner)}\\f${font}`
  switch (token.type) {
    case 'text':
    case 'escape':
      return renderText(token, page, font)
    case 'codespan':
      return `\\fB${unbroken(escapeCode(token.text))}\\f${font}`
    case 'strong':
      return within('B')
    case 'em':
      return within('I')
    case 'br':
      return '\n.br\n'
    case 'link':
      return renderLink(token, page, font)
    default:
      throw new Error(`${page.file}: a manual page has no ${token.type}: ${token.raw}`)
  }
}

function renderText({ type, text, tokens }, page, font) {
  if (tokens) return renderInline(tokens, page, font)
  if (type === 'text' && /&#?\w+;/.test(text)) throw new Error(`${page.file}: an entity of HTML: ${text}`)
  // What is italic is a path or a name: its hyphens are to be copied.
  if (font === 'I') return unbroken(escapeCode(text).replaceAll(/(?<=\S)\/(?=\S)/g, '/\\:'))
  if (font !== 'R') return escapeText(text)
  return escapeText(text).replaceAll(
    REFERENCE,
    (_, name, section) => `\\fB${unbroken(escapeCode(name))}\\fR(${section})`,
  )
}

/** A link to a section of a page is its name; on another page, the reader finds it by that name, too. */
function renderLink({ href, tokens, text }, page, font) {
  if (/^[a-z]+:/.test(href)) return `${renderInline(tokens, page, font)} \\(la${escapeCode(href)}\\(ra`
  const [path, anchor] = href.split('#')
  const file = path === '' ? page.file : path
  const there = page.anchors.get(posix.basename(file))
  if (!there || (anchor !== undefined && !there.has(anchor)))
    throw new Error(`${page.file}: the link leads nowhere: ${href}`)
  return path === '' && font === 'R' ? `\\fB${escapeText(text)}\\fR` : renderInline(tokens, page, font)
}

/** The characters without their styles. */
export function plainText(tokens) {
  return tokens.map((token) => (token.tokens ? plainText(token.tokens) : token.text)).join('')
}

/** The anchor of a heading with this text. */
export function slugOf(text) {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
}

/** Prose: hyphens and apostrophes are those of typography. */
export function escapeText(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replaceAll(/[^\p{ASCII}]/gu, (character) => `\\[u${hexOf(character)}]`)
}

/** What is to be copied: every character as on the keyboard. */
export function escapeCode(text) {
  return escapeText(text).replaceAll('-', '\\-').replaceAll("'", '\\(aq').replaceAll('`', '\\(ga')
}

/** Without hyphens that nobody would type: a word is not divided, a path only behind a slash. */
function unbroken(text) {
  return text.replaceAll(/(?<!\S)(?=\S*[A-Za-z]{4})/g, '\\%')
}

function hexOf(character) {
  return character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')
}

/**
 * The lines of a paragraph. None is a request, and none ends a sentence, behind which roff would put two
 * spaces.
 */
export function fill(text) {
  const lines = text.split('\n').reduce(joinWords, ['']).filter(Boolean)
  return lines.map((line) => {
    if (line === '.br') return line
    const start = /^[.']/.test(line) ? '\\&' : ''
    return `${start}${line}${/[.?!](?:\\f.|[)"'\]])*$/.test(line) ? '\\&' : ''}`
  })
}

/** Adds the words of one line of the source. A request stays in a line of its own. */
function joinWords(lines, source) {
  if (source === '.br') return [...lines, source, '']
  const more = [...lines]
  for (const word of source.split(' ').filter(Boolean)) {
    const last = more.at(-1)
    if (last === '') more[more.length - 1] = word
    else if (last.length + 1 + word.length > LINE) more.push(word)
    else more[more.length - 1] = `${last} ${word}`
  }
  return more
}
