import { findDataRoots, findHomes } from '../engine/places.js'
import { readTreeFacts, type TreeFacts } from '../image/kept.js'
import { readConfiguration } from '../machine/configuration.js'
import type { Root } from '../machine/files.js'
import type { BootReport, ReportedExtension } from './boot-report.js'
import type { Disk } from './next-boot.js'

/** What of an image is not in the root as it was in the image, and why. */
export type Note = { name: string; unit: string; note: string }

/** The notes about the images of a boot. */
export function readNotes(root: Root, report: BootReport, disk: Disk): Note[] {
  return report.extensions.flatMap((extension) =>
    (readFacts(root, report, extension, disk)?.notes ?? []).map((note) => ({
      ...{ name: extension.name, unit: extension.unit },
      note,
    })),
  )
}

/** The facts of an extension's tree, as the decision has read them, or read now; undefined if it is gone. */
export function readFacts(
  root: Root,
  { dataRoot }: BootReport,
  { tree }: ReportedExtension,
  { trees }: Disk,
): TreeFacts | undefined {
  const known = trees.get(tree)
  if (known) return known
  const places =
    dataRoot !== null
      ? [dataRoot]
      : findHomes(findDataRoots(root, readConfiguration(root).configuration.dataRoot))
  for (const place of places) {
    const facts = readTreeFacts(root, place, tree)
    if (facts) return facts
  }
  return undefined
}
