import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Container, Engine } from '../../src/engine/engine.js'
import { readPodman } from '../../src/engine/podman.js'
import type { StoreRecord } from '../../src/engine/podman-store.js'
import { DATA_ROOTS } from './paths.js'
import { copyTree, makeTree } from './tree.js'

export const GRAPHROOT = '/var/lib/containers/storage'
export const IMAGES = '/var/lib/containers/images'

export const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`

/** Copies of the storage of a real Podman, and of its additional image store, to be damaged. */
export type Podman = {
  root: { prefix: string }
  /** Where the graph root is for the test. */
  data: string
  /** Where the additional image store is for the test. */
  images: string
  read: (others?: readonly string[]) => Engine
  /** A container by its name, as it is read now. Throws an Error if it is not among those that are read. */
  find: (name: string) => Container
  /** Why the layers of a container cannot be read. */
  problem: (name: string) => string | undefined
  /** Changes a list: containers.json, images.json, layers.json. */
  edit: (list: string, change: (records: StoreRecord[]) => void) => void
  /** The record of a container in containers.json. */
  record: (name: string) => StoreRecord & { id: string; layer: string; image: string }
}

export function copyPodman(t: Test): Podman {
  const root = { prefix: makeTree(t) }
  const data = join(root.prefix, GRAPHROOT)
  const images = join(root.prefix, IMAGES)
  for (const [name, to] of [
    ['podman', data],
    ['podman-images', images],
  ] as const) {
    copyTree(join(DATA_ROOTS, name), to)
    // As Podman makes it; git does not record that.
    chmodSync(to, 0o700)
  }
  const read: Podman['read'] = (others = [IMAGES]) => readPodman(root, GRAPHROOT, others, sha256)
  const named = (engine: Engine, name: string): Container => {
    const found = engine.containers.find((container) => 'name' in container && container.name === name)
    if (!found || 'problem' in found) throw new Error(name)
    return found
  }
  return {
    root,
    data,
    images,
    read,
    find: (name) => named(read(), name),
    problem(name) {
      const engine = read()
      try {
        engine.layers(named(engine, name))
      } catch (error) {
        return (error as Error).message
      }
      return undefined
    },
    edit(list, change) {
      const file = join(data, list)
      const records = JSON.parse(readFileSync(file, 'utf8'))
      change(records)
      writeFileSync(file, JSON.stringify(records))
    },
    record(name) {
      const records = JSON.parse(readFileSync(join(data, 'overlay-containers/containers.json'), 'utf8'))
      return records.find(({ names }: { names: string[] }) => names[0] === name)
    },
  }
}
