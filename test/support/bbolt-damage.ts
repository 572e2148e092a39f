import type { Random } from './seeded.js'

const PAGE = 4096
const SECTOR = 512
const LETTERS = Buffer.from('0123456789abcdef/:-')

/**
 * Damages a database of bbolt with pages of 4096 bytes, guided by the random numbers. `older`: an earlier
 * state of it. Returns what it did, and what is left: `bytes`, or the beginning of it.
 */
export function damageDatabase(bytes: Buffer, older: Buffer, random: Random): { what: string; left: Buffer } {
  /** The high-water mark of the first meta page: what follows it is not used. */
  const pages = bytes.readUInt32LE(56)
  const used = pages * PAGE
  const anyPage = (): number => PAGE * (2 + random.number(pages - 2))
  const anySector = (): number => SECTOR * random.number(used / SECTOR)
  const flip = (at: number): void => {
    bytes[at] = (bytes[at] as number) ^ (1 << random.number(8))
  }
  const copy = (from: number, to: number, length: number): void => {
    bytes.copy(bytes, to, from, from + length)
  }
  const flipSome = (): void => {
    for (let count = random.number(8); count >= 0; count--) flip(random.number(used))
  }
  const kinds: [what: string, damage: () => void][] = [
    ['flipped bits', flipSome],
    ['flipped bits, again', flipSome],
    ['a flipped bit in the head of a page', () => flip(anyPage() + random.number(200))],
    ['a flipped bit in a meta page', () => flip(random.pick([0, PAGE]) + random.number(80))],
    [
      'other digits and letters',
      () => {
        for (let tries = 0, left = 1 + random.number(5); left > 0 && tries < 1000; tries++) {
          const at = random.number(used)
          if (!LETTERS.includes(bytes[at] as number)) continue
          bytes[at] = random.pick([...LETTERS])
          left--
        }
      },
    ],
    [
      'small numbers',
      () => {
        for (let count = random.number(4); count >= 0; count--)
          bytes.writeUInt32LE(random.number(200), anyPage() + 4 * random.number(100))
      },
    ],
    [
      'random bytes',
      () => {
        const at = random.number(used - 64)
        for (let index = 0; index < 64; index++) bytes[at + index] = random.number(256)
      },
    ],
    [
      'a sector of zeros',
      () => {
        const at = anySector()
        bytes.fill(0, at, at + SECTOR)
      },
    ],
    [
      'a page of zeros',
      () => {
        const at = anyPage()
        bytes.fill(0, at, at + PAGE)
      },
    ],
    ['a page twice', () => copy(anyPage(), anyPage(), PAGE)],
    [
      'a page twice, with its own number',
      () => {
        const to = anyPage()
        copy(anyPage(), to, PAGE)
        bytes.writeUInt32LE(to / PAGE, to)
      },
    ],
    [
      'some bytes elsewhere',
      () => {
        const length = 16 * (1 + random.number(8))
        copy(random.number(used - length), random.number(used - length), length)
      },
    ],
    [
      'two elements that changed places',
      () => {
        const first = anyPage() + 16
        const [one, other] = [first + 16 * random.number(20), first + 16 * random.number(20)]
        const element = Buffer.from(bytes.subarray(one, one + 16))
        copy(other, one, 16)
        element.copy(bytes, other)
      },
    ],
    [
      'a sector of an older state',
      () => {
        const at = anySector()
        older.copy(bytes, at, at, at + SECTOR)
      },
    ],
    [
      'a page of an older state',
      () => {
        const at = anyPage()
        older.copy(bytes, at, at, at + PAGE)
      },
    ],
  ]
  const [what, damage] = random.pick([...kinds, ['a shorter file', () => {}], ['nothing', () => {}]])
  damage()
  return { what, left: what === 'a shorter file' ? bytes.subarray(0, random.number(used)) : bytes }
}
