import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { hostextFiles } from '../../packaging/files.mjs'
import { PROJECT } from './paths.js'

/** Puts all that hostext installs, except for its runtime, into a root that has none of it. */
export function installFiles(root: string): void {
  for (const { from, to, link } of hostextFiles(PROJECT)) {
    const place = join(root, to)
    mkdirSync(from || link ? dirname(place) : place, { recursive: true })
    if (from) cpSync(from, place)
    else if (link) symlinkSync(link, place)
  }
}
