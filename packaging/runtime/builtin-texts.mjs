import { execFileSync } from 'node:child_process'
import { sectionNamed } from './elf.mjs'

/**
 * What a module does that is gone: it says so. A comment of zeros follows, on a line of its own, because the
 * report of an error prints the line that threw it.
 */
export const GONE = "throw new Error('this built-in module is not in the runtime of hostext')\n//"

/**
 * The JavaScript of all built-in modules of Node, by name. Runs the official build at `node`; other builds of
 * this version have the same. Throws an Error if it does not run here.
 * @param {string} node
 * @returns {Record<string, string>}
 */
export function readBuiltins(node) {
  const script = `
    const { internalBinding } = require('internal/test/binding')
    process.stdout.write(JSON.stringify(internalBinding('builtins').natives))`
  const output = execFileSync(node, ['--expose-internals', '--no-warnings', '--eval', script], {
    // NODE_OPTIONS from the build machine must not apply.
    env: {},
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  return JSON.parse(output)
}

/**
 * Empties the JavaScript of built-in modules that are not kept, but for a beginning that throws. Returns what
 * need not be loaded. V8 reads the whole text of a module when somebody loads it, so zeros stay there: an
 * exception is better than a crash. Throws an Error unless every text is found in a place of its own.
 * @param {import('./elf.mjs').Elf} elf
 * @param {Record<string, string>} texts all of them, by name
 * @param {Set<string>} kept the names of those that stay
 * @returns {import('./layout.mjs').Hole[]}
 */
export function dropBuiltins(elf, texts, kept) {
  const { bytes } = elf
  const data = sectionNamed(elf, '.rodata')
  const places = Object.entries(texts)
    .map(([name, text]) => {
      const encoding = encodingOf(text)
      const content = Buffer.from(text, encoding)
      const start = bytes.indexOf(content, data.offset)
      const end = start + content.length
      if (start === -1 || end > data.offset + data.size) throw new Error(`the text of ${name} is not in it`)
      return { name, gone: Buffer.from(GONE, encoding), start, end }
    })
    .sort((a, b) => a.start - b.start)
  for (const [index, { name, start }] of places.entries()) {
    const before = places[index - 1]
    if (before && start < before.end) throw new Error(`the texts of ${before.name} and ${name} overlap`)
  }
  return places
    .filter(({ name, gone, start, end }) => !kept.has(name) && gone.length < end - start)
    .map(({ gone, start, end }) => {
      bytes.fill(0, start, end)
      gone.copy(bytes, start)
      const toAddress = data.address - data.offset
      return { from: start + gone.length + toAddress, to: end + toAddress, zeros: true }
    })
}

/** Node has a text as ISO 8859-1 if that is possible, otherwise as UTF-16. */
function encodingOf(text) {
  return /^[\0-\xff]*$/.test(text) ? 'latin1' : 'utf16le'
}
