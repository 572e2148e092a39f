import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { at, readText, reason, resolveLinks, statLink } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { readElf } from './elf.js'
import type { ImageFiles, Owner, Result } from './files.js'

/** The files of images and trees on the disk. */
export const onDisk: ImageFiles = {
  entries: (path) => readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)),
  names(path) {
    try {
      return lstatSync(path).isDirectory() ? readdirSync(path) : []
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
      throw error
    }
  },
  stat: (path) => lstatSync(path),
  find: (path) => statLink({ prefix: '' }, path),
  readLink: (path) => readlinkSync(path),
  readText(top, path, largest) {
    const root = { prefix: top }
    const text = readText(root, resolveLinks(root, path), largest)
    return typeof text === 'string' ? text : undefined
  },
  readElf(top, path) {
    const root = { prefix: top }
    return readElf(at(root, resolveLinks(root, path)))
  },
  makeDirectory(path, mode, [uid, gid]) {
    mkdirSync(path)
    if (uid !== 0 || gid !== 0) chownSync(path, uid, gid)
    chmodSync(path, mode)
  },
  link,
  copy: (from, to, stat, owner) => copy(from, to, stat as Stats, owner),
  restoreCapabilities,
  write: (path, text) => writeFileSync(path, text, { flag: 'wx', mode: 0o644 }),
  makeLink: (target, path) => symlinkSync(target, path),
  remove: (path) => rmSync(path, { recursive: true }),
}

function link(from: string, to: string): Result {
  try {
    linkSync(from, to)
    return 'made'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return 'exists'
    if (code === 'EMLINK' || code === 'EXDEV') return 'impossible'
    throw new Error(`${printable(from)} cannot be linked: ${reason(error)}`)
  }
}

/** Copies a file with its mode and times, for another owner. */
function copy(from: string, to: string, stat: Stats, [uid, gid]: Owner): Result {
  try {
    if (stat.isSymbolicLink()) {
      symlinkSync(readlinkSync(from), to)
      lchownSync(to, uid, gid)
      lutimesSync(to, stat.atime, stat.mtime)
      return 'made'
    }
    if (stat.isFile()) copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    // Node makes no device nodes, pipes and sockets.
    else if (statLink({ prefix: '' }, to)) return 'exists'
    else runCp(['-a', from, to])
    chownSync(to, uid, gid)
    chmodSync(to, stat.mode & 0o7777)
    utimesSync(to, stat.atime, stat.mtime)
    return 'made'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'exists'
    throw new Error(`${printable(from)} cannot be copied: ${reason(error)}`)
  }
}

/**
 * Gives copies of programs the extended attributes of their originals: file capabilities (capabilities(7)).
 * The kernel takes them away when the owner changes. A cp(1) that cannot do it leaves them out.
 */
function restoreCapabilities(directory: string, from: string, names: readonly string[]): void {
  const files = names.map((name) => `${from}/${name}`)
  for (let at = 0; at < files.length; at += 500) {
    try {
      const words = ['--attributes-only', '--preserve=xattr', '-t', directory, ...files.slice(at, at + 500)]
      runCp(words)
    } catch {
      return
    }
  }
}

/** Runs cp(1). Throws an Error if it fails. Loaded only here: no boot of a known stack needs it. */
function runCp(words: string[]): void {
  process.getBuiltinModule('node:child_process').execFileSync('cp', words, { stdio: 'ignore' })
}
