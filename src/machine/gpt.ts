import { closeSync, openSync, readSync } from 'node:fs'
import { sha256 } from '../text/sha256.js'
import { diskOf, findBlockDevice } from './block-device.js'
import { at, listDirectory, type Root, readText, statLink } from './files.js'
import { type MountPoint, mountOf } from './mountinfo.js'

/** A partition of the root's disk that systemd mounts because of its type. */
export type GptPartition = { mountPoint: string; device: string; readOnly: boolean }

/** What systemd-gpt-auto-generator(8) makes of the table on the root's disk. */
export type Gpt = {
  partitions: GptPartition[]
  /** Whether it has the root made writable, if neither fstab nor the kernel command line says what it is. */
  opensRoot: boolean
}

/** What it makes of none. */
export const NO_GPT: Gpt = { partitions: [], opensRoot: false }

/**
 * The types that are mounted: The Discoverable Partitions Specification
 * (https://uapi-group.org/specifications/specs/discoverable_partitions_specification/).
 */
const TYPES: Record<string, string> = {
  '933ac7e1-2eb4-4f13-b844-0e14e2aef915': '/home',
  '3b8f8425-20e0-4f3b-907f-1a25a76f98e8': '/srv',
  '4d21b016-b534-45c2-a9fb-5c16e091fd2d': '/var',
  '7ec6f557-3bc5-4aca-b293-16ef5df639d1': '/var/tmp',
}
/**
 * Those whose unique ID must be the one that is made from the machine's, so that no other system's counts.
 */
const OWN = ['/var', '/var/tmp']

/** The types of a root, for all architectures. A disk for several has the flags of the one that is booted. */
const ROOT_TYPES = new Set([
  '44479540-f297-41b2-9af7-d131d5f0458a', // x86
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', // x86-64
  '6523f8ae-3eb1-4e2a-a05a-18b695ae656f', // Alpha
  'd27f46ed-2919-4cb8-bd25-9531f3c16534', // ARC
  '69dad710-2ce4-4e3c-b16c-21a1d49abed3', // ARM
  'b921b045-1df0-41c3-af44-4c6f280d3fae', // ARM64
  '993d8d3d-f80e-4225-855a-9daf8ed7ea97', // IA-64
  '77055800-792c-4f94-b39a-98c91b762bb6', // LoongArch64
  '37c58c8a-d913-4156-a25f-48b1b64e07f0', // MIPS, little-endian
  '700bda43-7a34-4507-b179-eeb93d7a7ca3', // MIPS64, little-endian
  '1de3f1ef-fa98-47b5-8dcd-4a860a654d78', // PowerPC
  '912ade1d-a839-4913-8964-a10eee08fbd2', // PowerPC64
  'c31c45e6-3f39-412e-80fb-4809c4980599', // PowerPC64, little-endian
  '60d5a7fe-8e7d-435c-b714-3dd8162144e1', // RISC-V 32
  '72ec70a6-cf74-40e6-bd49-4bda08e8f224', // RISC-V 64
  '08a7acea-624c-4a20-91e8-6e0fa67d23f9', // s390
  '5eead9a9-fe09-4a1e-a1d7-520d00531306', // s390x
  'c50cdd70-3862-4cc3-90e1-809a8c93ee2c', // TILE-Gx
])

const GENERATOR = '/usr/lib/systemd/system-generators/systemd-gpt-auto-generator'

/** UEFI specification, "GPT Header" and "GPT Partition Entry Array": sizes in bytes. */
const ENTRY = 128
const MOST_ENTRIES = 128

/**
 * Reads the table on the root's disk as systemd-gpt-auto-generator(8) does. It mounts the partitions of a
 * type that has a place, if the place is an empty directory or mounted already. It has a root of a root's
 * type made writable, unless the partition is marked read-only (add_root_rw). Where there is no partition
 * table, or none that can be read, the generator finds nothing either.
 */
export function readGpt(root: Root, mounts: readonly MountPoint[]): Gpt {
  const base = mountOf(mounts, '/')
  if (!base || !statLink(root, GENERATOR)) return NO_GPT
  const own = findBlockDevice(root, base)
  const ownNumber = own === undefined ? 0 : Number(text(root, `${own}/partition`))
  if (own === undefined || !(ownNumber > 0)) return NO_GPT
  const disk = diskOf(own)
  const size = Number(text(root, `${disk}/queue/logical_block_size`)) || 512
  const table = readTable(root, `/dev/${disk.slice(disk.lastIndexOf('/') + 1)}`, size)
  const nodes = new Map(
    names(root, disk).flatMap((name): [number, string][] => {
      const number = Number(text(root, `${disk}/${name}/partition`))
      return number > 0 ? [[number, `/dev/${name}`]] : []
    }),
  )
  const found = table.flatMap(({ number, type, id, noAuto, readOnly }): GptPartition[] => {
    const mountPoint = TYPES[type]
    const device = nodes.get(number)
    if (mountPoint === undefined || device === undefined || noAuto) return []
    // It is asked again when the machine runs.
    if (mountOf(mounts, mountPoint)?.mountPoint !== mountPoint && !isEmpty(root, mountPoint)) return []
    if (OWN.includes(mountPoint) && id !== ownId(root, type)) return []
    return [{ mountPoint, device, readOnly }]
  })
  // Of two with the same type the first one counts.
  const partitions = found.filter(
    ({ mountPoint }, index) => found.findIndex((other) => other.mountPoint === mountPoint) === index,
  )
  const roots = table.filter(({ type, noAuto }) => ROOT_TYPES.has(type) && !noAuto)
  const booted = roots.find(({ number }) => number === ownNumber) ?? roots[0]
  return { partitions, opensRoot: booted !== undefined && !booted.readOnly }
}

type Entry = { number: number; type: string; id: string; noAuto: boolean; readOnly: boolean }

/** The entries of the table on a disk whose sectors have `size` bytes. */
function readTable(root: Root, path: string, size: number): Entry[] {
  const stat = statLink(root, path)
  if (!stat?.isBlockDevice() && !stat?.isFile()) return []
  let file: number
  try {
    file = openSync(at(root, path), 'r')
  } catch {
    return []
  }
  try {
    const header = Buffer.alloc(92)
    root.seen?.heads.set(path, size + header.length)
    if (readSync(file, header, 0, header.length, size) !== header.length) return []
    if (header.toString('latin1', 0, 8) !== 'EFI PART' || header.readUInt32LE(84) !== ENTRY) return []
    const count = Math.min(header.readUInt32LE(80), MOST_ENTRIES)
    const entries = Buffer.alloc(count * ENTRY)
    const start = Number(header.readBigUInt64LE(72)) * size
    root.seen?.heads.set(path, start + entries.length)
    if (readSync(file, entries, 0, entries.length, start) !== entries.length) return []
    return Array.from({ length: count }, (_, index) => {
      const entry = entries.subarray(index * ENTRY, (index + 1) * ENTRY)
      const flags = entry.readBigUInt64LE(48)
      return {
        number: index + 1,
        type: guid(entry.subarray(0, 16)),
        id: guid(entry.subarray(16, 32)),
        noAuto: (flags & (1n << 63n)) !== 0n,
        readOnly: (flags & (1n << 60n)) !== 0n,
      }
    })
  } catch {
    // The disk does not answer, or the numbers in the header make no sense.
    return []
  } finally {
    closeSync(file)
  }
}

/** A GUID as it is written: its first three fields are in little-endian order. */
function guid(bytes: Buffer): string {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
  const hex = Buffer.from(order.map((index) => bytes[index] as number)).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/**
 * The ID of this machine's own partition of a type: sd_id128_get_machine_app_specific(3), which is an HMAC
 * (RFC 2104) of the type with the machine's ID as the key, as a UUID of version 4. Undefined without an ID.
 */
function ownId(root: Root, type: string): string | undefined {
  const machine = text(root, '/etc/machine-id')
  if (!/^[0-9a-f]{32}$/.test(machine)) return undefined
  const key = Buffer.alloc(64)
  Buffer.from(machine, 'hex').copy(key)
  const message = Buffer.from(type.replaceAll('-', ''), 'hex')
  const hash = (pad: number, rest: Buffer): Buffer =>
    Buffer.from(sha256(Buffer.concat([key.map((byte) => byte ^ pad), rest]).toString('latin1')), 'hex')
  const id = hash(0x5c, hash(0x36, message)).subarray(0, 16)
  id[6] = ((id[6] as number) & 0x0f) | 0x40
  id[8] = ((id[8] as number) & 0x3f) | 0x80
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Whether something can be mounted there unseen: an empty directory, or nothing. */
function isEmpty(root: Root, path: string): boolean {
  const stat = statLink(root, path)
  return stat === undefined || (stat.isDirectory() && names(root, path).length === 0)
}

/** The names in a directory; one for a directory that cannot be read, which is none that can be used. */
function names(root: Root, path: string): string[] {
  try {
    return listDirectory(root, path)
  } catch {
    return ['']
  }
}

function text(root: Root, path: string): string {
  const read = readText(root, path, 4096)
  return typeof read === 'string' ? read.trim() : ''
}
