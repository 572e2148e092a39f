/** An entry of an archive that a test writes. `text` is what is in it; `size` only what its header says. */
export type TarItem = {
  name: string
  type?: string
  text?: string | Buffer
  size?: number
  mode?: number
  uid?: number
  gid?: number
  target?: string
  major?: number
  minor?: number
  /** Records of an extended header before it. */
  pax?: Record<string, string | Buffer>
  /** What is changed in the header afterwards; its checksum is right all the same. */
  edit?: (header: Buffer) => void
}

/** An archive of tar(1) with these entries, in the format of POSIX; any name is written as it is. */
export function tarOf(items: readonly TarItem[], end = 1024): Buffer {
  return Buffer.concat([...items.flatMap(blocksOf), Buffer.alloc(end)])
}

function blocksOf(item: TarItem): Buffer[] {
  const { pax = {}, ...rest } = item
  const records: Record<string, string | Buffer> = { ...pax }
  if (Buffer.byteLength(item.name) > 100 && !('path' in pax)) records.path = item.name
  if (item.target !== undefined && Buffer.byteLength(item.target) > 100) records.linkpath = item.target
  const before =
    Object.keys(records).length > 0 ? entry({ name: 'pax', type: 'x', text: recordsOf(records) }) : []
  return [...before, ...entry(rest)]
}

function recordsOf(records: Record<string, string | Buffer>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value as string), Buffer.from('\n')])
      let length = rest.length + 1
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length
      return Buffer.concat([Buffer.from(String(length)), rest])
    }),
  )
}

function entry({
  name,
  type = '0',
  text = '',
  size,
  mode = 0o644,
  uid = 0,
  gid = 0,
  ...more
}: TarItem): Buffer[] {
  const contents = Buffer.from(text as string)
  const header = Buffer.alloc(512)
  const octal = (value: number, at: number, length: number): void =>
    void header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  header.write(name, 0, 100)
  octal(mode, 100, 8)
  octal(uid, 108, 8)
  octal(gid, 116, 8)
  octal(size ?? contents.length, 124, 12)
  octal(0, 136, 12)
  header.write(type, 156)
  header.write(more.target ?? '', 157, 100)
  header.write('ustar\x0000', 257, 'latin1')
  octal(more.major ?? 0, 329, 8)
  octal(more.minor ?? 0, 337, 8)
  more.edit?.(header)
  header.fill(' ', 148, 156)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return [header, contents, Buffer.alloc((512 - (contents.length % 512)) % 512)]
}
