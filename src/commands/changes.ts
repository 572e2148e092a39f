import { lstatSync, readdirSync } from 'node:fs'
import { CHANGES } from '../machine/etc-changes.js'
import { isWhiteout, listDirectory, type Root, statLink } from '../machine/files.js'
import { RUN_DIRECTORY } from '../machine/run-directory.js'
import type { ReportedExtension } from '../report/boot-report.js'
import { printable, printableList } from '../text/printable.js'

/** One kept change to /etc. `hides`: the mount units of the extensions whose file of that name it hides. */
export type Change = { kind: 'written' | 'deleted'; path: string; hides: string[] }

/**
 * The kept changes to /etc, in the order of their paths: files and empty directories that were written, and
 * what was deleted, which overlayfs stores as a character device 0/0
 * (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"). Throws an Error if they
 * cannot be read.
 */
export function readChanges(root: Root): Change[] {
  const upper = `${root.prefix}${CHANGES}/upper`
  if (!statLink(root, `${CHANGES}/upper`)) return []
  const layers = listDirectory(root, RUN_DIRECTORY).filter((name) => /^\d+$/.test(name))
  const changes: Change[] = []
  const walk = (directory: string): void => {
    const entries = readdirSync(upper + directory, { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${directory}/${entry.name}`
      if (entry.isDirectory() && readdirSync(upper + path).length > 0) {
        walk(path)
        continue
      }
      const hides = layers
        .filter((layer) => statLink(root, `${RUN_DIRECTORY}/${layer}/etc${path}`))
        .sort((a, b) => Number(a) - Number(b))
        .map((layer) => `run-hostext-${layer}.mount`)
      changes.push({
        kind: isWhiteout(lstatSync(upper + path)) ? 'deleted' : 'written',
        path: `/etc${path}`,
        hides,
      })
    }
  }
  walk('')
  return changes
}

/** `written  /etc/issue  (hides the one of wifi)`. `extensions`: those of this boot, as far as known. */
export function describeChange(
  { kind, path, hides }: Change,
  extensions: readonly Pick<ReportedExtension, 'unit' | 'name'>[] = [],
): string {
  const nameOf = (unit: string): string => extensions.find((each) => each.unit === unit)?.name ?? unit
  const hidden = hides.length > 0 ? `  (hides the one of ${printableList(hides.map(nameOf), 200)})` : ''
  return `${kind.padEnd(7)}  ${printable(path, 4096)}${hidden}`
}
