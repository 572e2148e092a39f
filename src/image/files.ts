import type { Stats } from 'node:fs'
import type { Elf } from './elf.js'

/** What kind of file something is. Those of node:fs are such kinds. */
export type Kind = Pick<
  Stats,
  'isDirectory' | 'isFile' | 'isSymbolicLink' | 'isCharacterDevice' | 'isFIFO' | 'isSocket'
>

/** An entry of a directory. */
export type Entry = Kind & { name: string }

/** What the rules of images go by, of an entry itself: a link is not followed. */
export type EntryStat = Kind & Pick<Stats, 'mode' | 'uid' | 'gid' | 'size' | 'blocks' | 'rdev'>

/** The entries of a directory; none if it does not exist. Throws an Error that names what cannot be read. */
export type List = (path: string) => readonly Entry[]

/** What tells whether a tree replaces files of the root, besides the entries of its directories. */
export type TreeFiles = {
  /** Throws an Error if there is nothing. */
  stat: (path: string) => EntryStat
  readLink: (path: string) => string
}

/** `exists`: something else is there. `impossible`: too many links to one file, or another file system. */
export type Result = 'made' | 'exists' | 'impossible'

/**
 * The files of an image, and of the tree that is made of it: on the disk (image/disk.ts), or only as a list
 * (check/memory.ts). The rules of images do not know which. All paths are absolute. Whatever fails throws an
 * Error.
 */
export type ImageFiles = TreeFiles & {
  /** The entries of a directory, sorted by name. */
  entries: (path: string) => readonly Entry[]
  /** The names in a directory; none if there is no such directory. A link is none: it would lead out. */
  names: (path: string) => readonly string[]
  /** Undefined if there is nothing. */
  find: (path: string) => EntryStat | undefined
  /** The text of a file, with links followed below `top`; undefined if there is none that can be read. */
  readText: (top: string, path: string, largest: number) => string | undefined
  /** The same for what the loader goes by in a library; absent where no contents of libraries are at hand. */
  readElf?: (top: string, path: string) => Elf | undefined
  makeDirectory: (path: string, mode: number, owner: Owner) => void
  /** Makes a hard link. */
  link: (from: string, to: string) => Result
  /** Copies a file with its mode and times, for another owner. */
  copy: (from: string, to: string, stat: EntryStat, owner: Owner) => Result
  /**
   * Gives copies of programs the extended attributes of their originals: file capabilities (capabilities(7)).
   * The kernel takes them away when the owner changes.
   */
  restoreCapabilities: (directory: string, from: string, names: readonly string[]) => void
  /** Writes a new file, for everybody to read. */
  write: (path: string, text: string) => void
  makeLink: (target: string, path: string) => void
  /** Removes a file, or a directory with everything in it. */
  remove: (path: string) => void
}

/** UID and GID. */
export type Owner = readonly [uid: number, gid: number]
