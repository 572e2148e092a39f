/**
 * SHA-256 (FIPS 180-4) of short texts. To load node:crypto takes a fifth of Node's start, as long as to hash
 * this many texts of a hundred characters here. If there are more, it is used.
 */
const MOST_HERE = 130
let count = 0

/** The hash of a text of ASCII characters, as hexadecimal digits. */
export function sha256(text: string): string {
  if (text.length > 1000 || ++count > MOST_HERE)
    return process.getBuiltinModule('node:crypto').createHash('sha256').update(text, 'latin1').digest('hex')
  return digest(paddedWords(text))
}

/** The text, a one, zeros, and its length in bits, as words of whole blocks. */
function paddedWords(text: string): Int32Array {
  const { length } = text
  const words = new Int32Array((((length + 8) >> 6) + 1) << 4)
  const put = (position: number, byte: number): void => {
    const word = position >> 2
    words[word] = (words[word] as number) | (byte << (24 - 8 * (position & 3)))
  }
  for (let position = 0; position < length; position++) put(position, text.charCodeAt(position))
  put(length, 0x80)
  words[words.length - 1] = 8 * length
  return words
}

let constants: { initial: number[]; rounds: number[] } | undefined

/** The first 32 bits of the fractions of the square and cube roots of the first primes. */
function makeConstants(): { initial: number[]; rounds: number[] } {
  const primes: number[] = []
  for (let number = 2; primes.length < 64; number++)
    if (primes.every((prime) => number % prime !== 0)) primes.push(number)
  const fraction = (root: number): number => ((root - Math.floor(root)) * 2 ** 32) | 0
  return {
    initial: primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))),
    rounds: primes.map((prime) => fraction(Math.cbrt(prime))),
  }
}

function digest(words: Int32Array): string {
  constants ??= makeConstants()
  const { initial, rounds } = constants
  const hash = Int32Array.from(initial)
  const schedule = new Int32Array(64)
  for (let block = 0; block < words.length; block += 16) addBlock(hash, words, block, schedule, rounds)
  let text = ''
  for (const word of hash) text += (word >>> 0).toString(16).padStart(8, '0')
  return text
}

/** The names are those of the standard. All in one function: this is the loop that takes the time. */
function addBlock(
  hash: Int32Array,
  words: Int32Array,
  block: number,
  w: Int32Array,
  k: readonly number[],
): void {
  let [a, b, c, d, e, f, g, h] = hash as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  for (let t = 0; t < 64; t++) {
    let word: number
    if (t < 16) word = words[block + t] as number
    else {
      const x = w[t - 15] as number
      const y = w[t - 2] as number
      word =
        ((w[t - 16] as number) +
          (w[t - 7] as number) +
          (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)) +
          (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))) |
        0
    }
    w[t] = word
    const t1 =
      (h +
        (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) +
        ((e & f) ^ (~e & g)) +
        (k[t] as number) +
        word) |
      0
    const t2 =
      (((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) +
      ((a & b) ^ (a & c) ^ (b & c))
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  for (const [index, word] of [a, b, c, d, e, f, g, h].entries()) hash[index] = (hash[index] as number) + word
}
