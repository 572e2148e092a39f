import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { debian } from './rootfs.js'

export type RootFilesystem = 'ext4' | 'squashfs' | 'erofs' | 'btrfs'

/**
 * A disk besides the root disk. Attached disks are numbered from 1 in their order. Only the machine's fstab
 * or units mount them.
 */
export type Disk = {
  filesystem: 'ext4' | 'swap' | 'none'
  label: string
  uuid: string
  /** A directory of the tree whose contents are moved to this disk. It stays as an empty mount point. */
  from?: string
  /** As mke2fs and truncate take it: `200M`. */
  size: string
  /** Made, but not attached to the machine. */
  absent?: true
  /** It is encrypted with this passphrase (LUKS); the label and UUID are those of what is inside. */
  passphrase?: string
  /** It is not a disk of its own but a partition of the root's, if that is `partitioned`. */
  partition?: Partition
}

/** The type of a partition and its own ID: GUIDs. */
export type Partition = { type: string; uuid: string }

/** The properties of a machine that decide about its disks. */
export type DiskOptions = {
  /** The file system of the root disk. With btrfs, the root is in the subvolume `@`. */
  rootFilesystem?: RootFilesystem
  /**
   * The root is a GPT partition, the first of its disk. `root`: of the type of a root, and nothing on the
   * kernel command line says whether it is writable.
   */
  partitioned?: true | 'root'
  disks?: Disk[]
  /** How much of the root disk is left free behind its file system: `200M`. */
  spare?: string
}

/**
 * The UUID and label of the root's file system: ext4 and btrfs have both, erofs only the UUID, squashfs
 * neither.
 */
export const ROOT_LABEL = 'root'
export const ROOT_UUID = '7a3c1e52-5d0f-4b6e-9f43-0c8a4d1b2e60'
/** The UUID of the root's partition, if `partitioned`. */
export const ROOT_PARTUUID = '0b5d9c1f-63a7-4c55-8e0a-91d2f7346ab8'

/** The type of any partition with a Linux file system: sfdisk(8). */
const LINUX = '0FC63DAF-8483-4772-8E79-3D69D8477DE4'
/** That of the root of an x86-64 machine. */
const ROOT = '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709'

/** Where the root's partition begins on its disk, and what is left free after it for the backup table. */
const START = 1024 * 1024

/** A disk of the machine, called `device`. `offset`: where its file system begins. */
export type MadeDisk = {
  file: string
  device: string
  /** `luks`: an encrypted one, whatever it is. */
  filesystem: Disk['filesystem'] | RootFilesystem | 'luks'
  offset: number
  /** The other file systems of a disk with several partitions. */
  others?: Omit<MadeDisk, 'device' | 'others'>[]
}

/** Makes the disks of a machine from its tree, in `directory`; returns the attached ones, the root first. */
export function makeDisks(
  options: DiskOptions,
  tree: string,
  rootSize: string,
  directory: string,
  device: (index: number) => string,
): MadeDisk[] {
  const disks = options.disks ?? []
  const made = new Map<Disk, Made>()
  // The deepest directory first, so that a disk for /var does not take what belongs on one for
  // /var/lib/docker.
  const byDepth = disks.toSorted((a, b) => (b.from?.length ?? 0) - (a.from?.length ?? 0))
  for (const disk of byDepth) made.set(disk, makeDisk(disk, tree, join(directory, `disk-${disk.label}`)))
  const filesystem = options.rootFilesystem ?? 'ext4'
  const file = join(directory, 'root')
  makeRoot(filesystem, tree, rootSize, file)
  if (options.spare) tool('truncate', '-s', `+${options.spare}`, file)
  const attached = disks.filter(({ absent }) => !absent)
  const parts = attached.flatMap((disk) =>
    disk.partition ? { ...disk.partition, ...(made.get(disk) as Made) } : [],
  )
  const root = options.partitioned
    ? partition(
        { file, filesystem, type: options.partitioned === 'root' ? ROOT : LINUX, uuid: ROOT_PARTUUID },
        parts,
      )
    : { file, filesystem, offset: 0 }
  const others = attached.filter(({ partition }) => !partition).map((disk) => made.get(disk) as Made)
  return [root, ...others].map((disk, index) => ({ ...disk, device: device(index) }))
}

type Made = Omit<MadeDisk, 'device'>

function makeDisk(disk: Disk, tree: string, file: string): Made {
  const { filesystem, label, uuid, from, size, passphrase } = disk
  if (filesystem === 'none') {
    empty(file, size)
  } else if (filesystem === 'swap') {
    empty(file, size)
    tool('mkswap', '-L', label, '-U', uuid, file)
  } else if (from === undefined) {
    ext4(label, uuid, size, file)
  } else {
    const source = join(tree, from)
    mkdirSync(source, { recursive: true })
    const { mode } = statSync(source)
    ext4(label, uuid, size, file, source)
    // mke2fs -d takes the contents of a directory, not the mode of the directory itself.
    tool('debugfs', '-w', '-R', `set_inode_field <2> mode 0${mode.toString(8)}`, file)
    rmSync(source, { recursive: true })
    mkdirSync(source)
    chmodSync(source, mode)
  }
  if (passphrase === undefined) return { file, filesystem, offset: 0 }
  encrypt(file, passphrase)
  return { file, filesystem: 'luks', offset: 0 }
}

/** Encrypts a file in place, as LUKS 1, by QEMU's own code: cryptsetup would need a device mapper here. */
function encrypt(file: string, passphrase: string): void {
  const plain = `${file}.plain`
  renameSync(file, plain)
  // No iterations beyond the least: the passphrase is in this repository.
  const options = ['-O', 'luks', '-o', 'key-secret=secret,iter-time=1']
  const secret = `secret,id=secret,data=${passphrase}`
  despiteCoarseClock(() =>
    tool('qemu-img', 'convert', '--object', secret, '-f', 'raw', ...options, plain, file),
  )
  rmSync(plain)
}

/**
 * QEMU times a few thousand iterations by the processor time of its thread, and gives up where that has not
 * moved: on some kernels it goes by ticks. The next try starts at another moment of a tick.
 */
function despiteCoarseClock(encrypted: () => void): void {
  for (let tries = 10; ; tries--) {
    try {
      encrypted()
      return
    } catch (error) {
      if (tries === 1 || !String(error).includes('accurate CPU usage')) throw error
    }
  }
}

function makeRoot(filesystem: RootFilesystem, tree: string, size: string, file: string): void {
  if (filesystem === 'ext4') ext4(ROOT_LABEL, ROOT_UUID, size, file, tree)
  // Uncompressed: an emulated processor is slower than the disk.
  else if (filesystem === 'squashfs')
    tool('mksquashfs', tree, file, '-noappend', '-no-progress', '-quiet', '-noI', '-noD', '-noF', '-noX')
  else if (filesystem === 'erofs') tool('mkfs.erofs', '-U', ROOT_UUID, file, tree)
  else btrfs(tree, size, file)
}

function ext4(label: string, uuid: string, size: string, file: string, tree?: string): void {
  const from = tree === undefined ? [] : ['-d', tree]
  tool('mke2fs', '-q', '-t', 'ext4', '-E', 'lazy_itable_init=1', '-L', label, '-U', uuid, ...from, file, size)
}

/**
 * A subvolume needs btrfs-progs 6.11, which Debian 12 does not have. So the tools of the Debian 13 test
 * machine are used, with their own loader and libraries.
 */
function btrfs(tree: string, size: string, file: string): void {
  const { root } = debian('trixie')
  // mkfs.btrfs makes a subvolume of a directory below its --rootdir.
  const parent = `${tree}.rootdir`
  mkdirSync(parent)
  renameSync(tree, join(parent, '@'))
  empty(file, size)
  tool(
    join(root, 'usr/lib64/ld-linux-x86-64.so.2'),
    ...['--library-path', join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/sbin/mkfs.btrfs')],
    ...['-q', '-L', ROOT_LABEL, '-U', ROOT_UUID, '--rootdir', parent, '--subvol', 'rw:@', file],
  )
  renameSync(join(parent, '@'), tree)
  rmSync(parent, { recursive: true })
}

/** A file with a file system, and the partition it becomes. */
type Part = Omit<Made, 'offset'> & Partition

/** Puts file systems into the partitions of a new disk, the root's first, and returns the disk. */
function partition(root: Part, others: Part[]): Made {
  const disk = `${root.file}-disk`
  const table = ['label: gpt']
  let offset = START
  const placed = [root, ...others].map((part) => {
    const size = Math.ceil(statSync(part.file).size / START) * START
    table.push(`start=${offset / 512}, size=${size / 512}, type=${part.type}, uuid=${part.uuid}`)
    const start = offset
    offset += size
    return { ...part, offset: start }
  })
  tool('truncate', '--size', String(offset + START), disk)
  execFileSync('sfdisk', ['--quiet', disk], { input: `${table.join('\n')}\n`, stdio: 'pipe' })
  for (const { file, offset } of placed) {
    const seek = `seek=${offset / START}`
    tool('dd', `if=${file}`, `of=${disk}`, `bs=${START}`, seek, 'conv=notrunc,sparse', 'status=none')
    rmSync(file)
  }
  const [first, ...rest] = placed.map(({ filesystem, offset }) => ({ file: disk, filesystem, offset }))
  return { ...(first as Made), others: rest }
}

/**
 * What dumpe2fs complains about on a disk that a machine has left: nothing, unless its file system was still
 * in use.
 */
export function uncleanness({ file, filesystem, offset }: Omit<MadeDisk, 'device'>): string | undefined {
  if (filesystem !== 'ext4') return undefined
  const said = tool('dumpe2fs', '-h', `${file}?offset=${offset}`)
  const state = /^Filesystem state: +(.*)$/m.exec(said)?.[1]
  const features = /^Filesystem features: +(.*)$/m.exec(said)?.[1]
  if (state === 'clean' && features && !features.includes('needs_recovery')) return undefined
  return `${file}: state ${state}, features ${features}`
}

/**
 * Calls `use` with a copy of a disk whose journal is replayed as by the next mount. The disk itself stays as
 * the machine has left it. `said`: the output of e2fsck if it had to repair more than that.
 */
export function replayed<Result>(
  disk: MadeDisk,
  use: (copy: MadeDisk, said: string | undefined) => Result,
): Result {
  const copy = { ...disk, file: `${disk.file}.copy` }
  copyDisk(disk.file, copy.file)
  try {
    // 1: errors corrected, which is what e2fsck calls the replay: e2fsck(8).
    const { status, stdout, stderr } = check('-p', copy)
    return use(copy, (status ?? 8) > 1 ? `e2fsck -p: ${stdout}${stderr}` : undefined)
  } finally {
    rmSync(copy.file)
  }
}

function copyDisk(from: string, to: string): void {
  tool('cp', '--sparse=always', from, to)
}

/**
 * What is wrong with a disk after a cut even though its journal was replayed; undefined if nothing is.
 * `examine` is called with the replayed copy.
 */
export function damage(disk: MadeDisk, examine?: (copy: MadeDisk) => void): string | undefined {
  if (disk.filesystem !== 'ext4') return undefined
  return replayed(disk, (copy, said) => {
    if (said !== undefined) return `${disk.file}: ${said}`
    examine?.(copy)
    const { status, stdout, stderr } = check('-fn', copy)
    return status === 0 ? undefined : `${disk.file}: e2fsck -fn: ${stdout}${stderr}`
  })
}

function check(option: string, { file, offset }: MadeDisk): ReturnType<typeof spawnSync> {
  return spawnSync('e2fsck', [option, `${file}?offset=${offset}`], { encoding: 'utf8' })
}

/**
 * The text of a file on an ext4 disk; undefined if it does not exist. The journal must be replayed: see
 * replayed().
 */
export function readFromDisk({ file, offset }: MadeDisk, path: string): string | undefined {
  const { stdout, stderr } = spawnSync('debugfs', ['-R', `cat "${path}"`, `${file}?offset=${offset}`], {
    encoding: 'utf8',
  })
  return /File not found by ext2_lookup/.test(stderr) ? undefined : stdout
}

/** The names in a directory of an ext4 disk; none if it does not exist. */
export function listOnDisk({ file, offset }: MadeDisk, path: string): string[] {
  const listed = tool('debugfs', '-R', `ls -p "${path}"`, `${file}?offset=${offset}`)
  // /inode/mode/uid/gid/name/size/
  return listed
    .split('\n')
    .map((line) => line.split('/')[5] ?? '')
    .filter((name) => name !== '' && name !== '.' && name !== '..')
}

/** A run of sectors (512 bytes) on a disk. */
export type Extent = { start: number; count: number }

/** Where an ext4 disk is still free: the blocks that a new file may get. */
export function freeExtents({ file, offset }: MadeDisk): Extent[] {
  const text = tool('dumpe2fs', `${file}?offset=${offset}`)
  const size = blockSize(text)
  const ranges = [...text.matchAll(/^ +Free blocks: (.*)$/gm)].flatMap(
    ([, list]) => list?.match(/\d+(?:-\d+)?/g) ?? [],
  )
  return ranges.map((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return extent(offset, size, first, last)
  })
}

/** Where the contents of a file or directory lie on an ext4 disk. */
export function extentsOf({ file, offset }: MadeDisk, path: string): Extent[] {
  const device = `${file}?offset=${offset}`
  const size = blockSize(tool('dumpe2fs', '-h', device))
  const blocks = tool('debugfs', '-R', `blocks "${path}"`, device).trim().split(/\s+/).map(Number)
  if (blocks.some((block) => !(block > 0))) throw new Error(`${file}: ${path} has no blocks of its own`)
  return blocks.map((block) => extent(offset, size, block, block))
}

/** From the first to the last of these blocks, of `size` bytes each. */
function extent(offset: number, size: number, first: number, last: number): Extent {
  return { start: (offset + first * size) / 512, count: ((last - first + 1) * size) / 512 }
}

function blockSize(dumpe2fs: string): number {
  return Number(/^Block size: +(\d+)$/m.exec(dumpe2fs)?.[1])
}

function empty(file: string, size: string): void {
  tool('truncate', '--size', size, file)
}

function tool(command: string, ...words: string[]): string {
  return execFileSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
