import { at, type Root, resolveLinks } from '../machine/files.js'
import { type Elf, readElf } from './elf.js'
import type { ImageFiles } from './files.js'

/** EM_… of elf(5), and what Go calls it. */
const ARCHITECTURES: Record<number, string> = {
  ...{ 3: '386', 8: 'mips', 21: 'ppc64le', 22: 's390x', 40: 'arm', 62: 'amd64', 183: 'arm64' },
  ...{ 243: 'riscv64', 258: 'loong64' },
}

/** The processor that the root's programs are for, as Go calls it; undefined if nothing tells. */
export function architectureOf(root: Root): string | undefined {
  for (const path of ['/usr/lib/systemd/systemd', '/lib/systemd/systemd', '/bin/sh', '/usr/bin/env']) {
    const elf = readElf(at(root, resolveLinks(root, path)))
    if (elf) return ARCHITECTURES[elf.machine]
  }
  return undefined
}

const nameOf = ({ machine }: Elf): string => ARCHITECTURES[machine] ?? `ELF machine ${machine}`

/**
 * What a machine of one kind usually runs, too. A root for 32 bits often has a kernel for 64.
 */
const ALSO: Record<string, string> = { amd64: '386', '386': 'amd64', arm64: 'arm', arm: 'arm64' }

/** Where an image has its programs. */
const PROGRAMS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/bin', '/sbin']
/** Most images tell with the first one. */
const MOST_PROGRAMS = 20

/** The processors that the programs of an image and those of the root are for. */
export type Mismatch = { image: string; root: string }

/**
 * Looks at programs of the image that `view` shows: for which processor they are, and the root's, if none of
 * them is for that one. Undefined if one is, if there are none, or if nothing tells.
 */
export function findMismatch(root: Root, files: ImageFiles, view: string): Mismatch | undefined {
  if (!files.readElf) return undefined
  const own = architectureOf(root)
  if (own === undefined) return undefined
  let first: string | undefined
  let count = 0
  for (const directory of PROGRAMS)
    for (const name of [...files.names(view + directory)].sort()) {
      const elf = files.readElf(view, `${directory}/${name}`)
      if (!elf) continue
      const architecture = nameOf(elf)
      if (architecture === own || architecture === ALSO[own]) return undefined
      first ??= architecture
      if (++count === MOST_PROGRAMS) return { image: first, root: own }
    }
  return first === undefined ? undefined : { image: first, root: own }
}
