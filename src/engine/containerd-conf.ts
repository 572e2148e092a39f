import { dirname, posix } from 'node:path'
import { parse } from 'smol-toml'
import { directoryPath } from '../machine/configuration.js'
import { type Root, readText } from '../machine/files.js'
import { ENGINE_UNITS } from '../machine/planned.js'
import { unitDirectories } from '../machine/unit-files.js'
import { isObject } from '../text/json.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { findFiles, options, readCommandLine } from './daemon.js'

/** A root of containerd. */
export type ContainerdRoot = {
  path: string
  /** Its overlayfs snapshotter's own directory, if a setting names one. */
  snapshots?: string
}

/** Where dockerd keeps the data of a containerd that it starts itself, in its data root. */
export const OWN_CONTAINERD = '/containerd/daemon'

const CONFIG = '/etc/containerd/config.toml'
const DEFAULT_ROOT = '/var/lib/containerd'
const SNAPSHOTTER = 'io.containerd.snapshotter.v1.overlayfs'
/** Its name in a configuration of version 1, which containerd 1 reads. */
const SNAPSHOTTER_ID = 'overlayfs'
/** With every plugin's defaults, as `containerd config default` writes them, it has 12 KB. */
const LARGEST = 256 << 10
const MOST_IMPORTS = 100

/**
 * Where containerd may keep the layers of Docker's containers: the root that its command line or its
 * configuration names (containerd-config.toml(5)), or its default; and below each of `dataRoots`, where
 * dockerd keeps the data of a containerd that it starts itself. `directories`: where units are.
 */
export function findContainerdRoots(
  root: Root,
  dataRoots: readonly string[],
  directories: readonly string[] = unitDirectories(root),
): { roots: ContainerdRoot[]; messages: Message[] } {
  const messages: Message[] = []
  const words = new Map(options(readCommandLine(root, ENGINE_UNITS.containerd, directories)?.words ?? []))
  const file = words.get('config') ?? words.get('c') ?? CONFIG
  const found: { root?: string; snapshots?: string } = {}
  for (const table of readTables(root, file, messages)) {
    if (isPath(table.root)) found.root = table.root
    const plugins = isObject(table.plugins) ? table.plugins : {}
    const plugin = plugins[SNAPSHOTTER] ?? plugins[SNAPSHOTTER_ID]
    if (isObject(plugin) && isPath(plugin.root_path)) found.snapshots = plugin.root_path
  }
  const path = directoryPath(words.get('root') ?? found.root ?? DEFAULT_ROOT) ?? DEFAULT_ROOT
  const snapshots = directoryPath(found.snapshots ?? '') ?? undefined
  const own = dataRoots.map((path) => ({ path: path + OWN_CONTAINERD }))
  return { roots: [{ path, ...(snapshots !== undefined && { snapshots }) }, ...own], messages }
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/**
 * The configuration and what it imports, in the order in which containerd merges them: what a file imports
 * comes after all files that were named before. What cannot be read is ignored, with a warning.
 */
function readTables(root: Root, file: string, messages: Message[]): Record<string, unknown>[] {
  const tables = new Map<string, Record<string, unknown> | undefined>()
  const pending = [file]
  for (const path of pending) {
    if (tables.has(path) || tables.size > MOST_IMPORTS) continue
    const table = readTable(root, path, messages)
    tables.set(path, table)
    const imports = Array.isArray(table?.imports) ? table.imports.slice(0, MOST_IMPORTS).filter(isPath) : []
    for (const pattern of imports) pending.push(...findFiles(root, posix.resolve(dirname(path), pattern)))
  }
  return [...tables.values()].filter((table) => table !== undefined)
}

function readTable(root: Root, file: string, messages: Message[]): Record<string, unknown> | undefined {
  const warn = (problem: string): undefined => {
    messages.push({ level: 'warning', text: `${printable(file)}: ${printable(problem)}; ignored` })
  }
  const text = readText(root, file, LARGEST)
  if (text === undefined) return undefined
  if (text instanceof Error) return warn(text.why)
  try {
    return parse(text)
  } catch (error) {
    return warn((error as Error).message.split('\n')[0] as string)
  }
}
