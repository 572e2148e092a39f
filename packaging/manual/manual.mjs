// The manual pages: docs/man/*.md as man(1) reads them.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { anchorsOf, renderPage } from './page.mjs'

/** What stands at the head of each page. */
const MANUAL = 'Host extensions'

/**
 * Renders all pages of the directory `sources` for this version of hostext. Returns them by name, such as
 * `hostext.7`. Throws an Error that names the file with a mistake.
 */
export function renderManual(sources, version) {
  const files = readdirSync(sources).filter((name) => /\.[1-8]\.md$/.test(name))
  const texts = new Map(files.sort().map((file) => [file, readFileSync(join(sources, file), 'utf8')]))
  const anchors = new Map([...texts].map(([file, text]) => [file, anchorsOf(text)]))
  return new Map(
    [...texts].map(([file, text]) => [
      file.replace(/\.md$/, ''),
      renderPage(text, { file, version, manual: MANUAL, anchors }),
    ]),
  )
}

/** Writes the pages into the directory `out`. Returns their paths. */
export function writeManual(sources, version, out) {
  mkdirSync(out, { recursive: true })
  return [...renderManual(sources, version)].map(([name, text]) => {
    const path = join(out, name)
    writeFileSync(path, text)
    return path
  })
}
