import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

/**
 * A drive that loses what its machine has not flushed when the power is cut. QEMU's driver `blklogwrites`
 * logs what reached the drive and when it was flushed, in the format of the kernel's dm-log-writes
 * (Documentation/admin-guide/device-mapper/log-writes.rst). From the log, the disk is made as such a drive
 * would have left it: with everything from before the last flush, and any part of what came after it, in
 * blocks.
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

/** The size of a block that is written as a whole: file systems never write less. */
const BLOCK = 4096

/**
 * Reads the log of a disk of `size` bytes. QEMU logs a request after doing it, and does several at once. If
 * it is killed, entries that the machine was not told about may be missing before others that exist. The gaps
 * are skipped.
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
 * Applies to `disk`, as it was before the machine started, everything that the drive must have written by the
 * time of the cut. Of the rest, applies the blocks for which `random` is below a half. Returns how many
 * blocks of the rest were written and how many were not.
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

/** QEMU's arguments for a disk with a log; the number is the disk's number in its machine. */
export function loggedDriveWords(file: string, log: string, number: number): string[] {
  const escaped = (name: string) => name.replaceAll(',', ',,')
  return [
    ...['-blockdev', `driver=file,node-name=file${number},filename=${escaped(file)},cache.no-flush=on`],
    ...['-blockdev', `driver=file,node-name=log${number},filename=${escaped(log)},cache.no-flush=on`],
    '-blockdev',
    `driver=blklogwrites,node-name=disk${number},file=file${number},log=log${number},log-sector-size=${SECTOR}`,
    // Turns off requests whose data the log does not contain.
    ...['-device', `virtio-blk-pci,drive=disk${number},write-cache=on,discard=off,write-zeroes=off`],
  ]
}
