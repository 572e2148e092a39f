import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

/**
 * A drive that loses what its machine has not flushed when the power is cut. QEMU's driver `blklogwrites` keeps a log
 * of what reached the drive and when it was flushed, in the format of the kernel's dm-log-writes
 * (Documentation/admin-guide/device-mapper/log-writes.rst); from it the disk is made as such a drive would have left it:
 * all that came before the last flush, and any part of what came after, in blocks.
 */
export type LoggedWrite =
  | { kind: 'flush' }
  /** Bytes: where on the disk, how many, and where they are in the log. */
  | { kind: 'write'; start: number; length: number; logged: number }

const SECTOR = 512
const FLUSH = 1n
const DISCARD = 4n
/** log_write_entry: sector, nr_sectors, flags, data_len, and nothing up to the end of its sector. */
const ENTRY = 32
/** No request of a virtio disk is larger: 254 segments of 64 KiB are less. */
const MOST_SECTORS = 65_536n

/** What is written as one: file systems do not ask for less. */
const BLOCK = 4096

/**
 * Reads the log of a disk of `size` bytes. QEMU logs what it has done, and several requests at once: if it is killed
 * meanwhile, entries are missing that no machine was told of, before others that are there. Those are passed over.
 */
export function readDriveLog(file: string, size: number): LoggedWrite[] {
  const log = openSync(file, 'r')
  try {
    const end = fstatSync(log).size
    const header = Buffer.alloc(SECTOR)
    const writes: LoggedWrite[] = []
    // The first sector is the log's own.
    let at = SECTOR
    while (at + SECTOR <= end) {
      readSync(log, header, 0, SECTOR, at)
      at += SECTOR
      const [sector, count, flags] = [0, 8, 16].map((offset) => header.readBigUInt64LE(offset)) as [
        bigint,
        bigint,
        bigint,
      ]
      const isEntry =
        flags < 16n &&
        (count > 0n || flags > 0n) &&
        count <= MOST_SECTORS &&
        (sector + count) * BigInt(SECTOR) <= BigInt(size) &&
        header.subarray(ENTRY - 8).every((byte) => byte === 0)
      if (!isEntry) continue
      // A flush that comes with data is done before it.
      if (flags & FLUSH) writes.push({ kind: 'flush' })
      if (count === 0n || flags & DISCARD) continue
      const length = Number(count) * SECTOR
      if (at + length > end) break
      writes.push({ kind: 'write', start: Number(sector) * SECTOR, length, logged: at })
      at += length
    }
    return writes
  } finally {
    closeSync(log)
  }
}

/**
 * Does to `disk`, as it was before the machine was started, what a drive has done for sure by the time of the
 * cut, and of the rest the blocks for which `random` is below a half. Returns how many blocks were and how many were not
 * written of that rest.
 */
export function replayDriveLog(
  disk: string,
  log: string,
  random: () => number,
): { kept: number; lost: number } {
  const to = openSync(disk, 'r+')
  const from = openSync(log, 'r')
  try {
    const writes = readDriveLog(log, fstatSync(to).size)
    const lastFlush = writes.findLastIndex(({ kind }) => kind === 'flush')
    const rest = { kept: 0, lost: 0 }
    for (const [index, write] of writes.entries()) {
      if (write.kind === 'flush') continue
      const data = Buffer.alloc(write.length)
      readSync(from, data, 0, write.length, write.logged)
      if (index < lastFlush) {
        writeSync(to, data, 0, write.length, write.start)
        continue
      }
      for (let offset = 0; offset < write.length; offset += BLOCK) {
        const isKept = random() < 0.5
        rest[isKept ? 'kept' : 'lost']++
        if (isKept) writeSync(to, data, offset, Math.min(BLOCK, write.length - offset), write.start + offset)
      }
    }
    return rest
  } finally {
    closeSync(to)
    closeSync(from)
  }
}

/** The words for QEMU for a disk with a log; the numbers are the disk's among those of its machine. */
export function loggedDriveWords(file: string, log: string, number: number): string[] {
  const escaped = (name: string) => name.replaceAll(',', ',,')
  return [
    ...['-blockdev', `driver=file,node-name=file${number},filename=${escaped(file)},cache.no-flush=on`],
    ...['-blockdev', `driver=file,node-name=log${number},filename=${escaped(log)},cache.no-flush=on`],
    '-blockdev',
    `driver=blklogwrites,node-name=disk${number},file=file${number},log=log${number},log-sector-size=${SECTOR}`,
    // Without requests that the log does not hold the data of.
    ...['-device', `virtio-blk-pci,drive=disk${number},write-cache=on,discard=off,write-zeroes=off`],
  ]
}
