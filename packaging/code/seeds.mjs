/**
 * Seeds for V8 with which the runtime starts fast: those that generators/steps/runtime.sh has.
 *
 * V8 makes the secret of its hashes anew in each process, from a random number, so that nobody can prepare
 * names that all have one hash. The secret is three primes. V8 looks for them in numbers that follow from the
 * first one, and takes some 20 µs for each of these that is no prime: mostly a millisecond and more, but with
 * a lucky first number nearly nothing. `--random-seed` chooses that number, and is not among the flags that
 * V8 compares before it takes compiled code.
 *
 * This is the search of the V8 in the runtime: RandomNumberGenerator in
 * src/base/utils/random-number-generator.cc, rapidhash_make_secret() in third_party/rapidhash-v8/secret.h.
 */

const MASK = (1n << 64n) - 1n

/** The finalizer of MurmurHash3. */
function scramble(number) {
  let mixed = number ^ (number >> 33n)
  mixed = (mixed * 0xff51afd7ed558ccdn) & MASK
  mixed ^= mixed >> 33n
  mixed = (mixed * 0xc4ceb9fe1a85ec53n) & MASK
  return mixed ^ (mixed >> 33n)
}

/** The first number of V8's generator (xorshift128+) with this seed. */
function firstNumber(seed) {
  let one = scramble(BigInt(seed))
  const other = scramble(~one & MASK)
  one ^= (one << 23n) & MASK
  one ^= one >> 17n
  return (other + (one ^ other ^ (other >> 26n))) & MASK
}

/** The bytes of which four bits are set: a secret has no others. */
const BYTES = Array.from({ length: 256 }, (_, byte) => BigInt(byte)).filter((byte) => bitsOf(byte) === 4)

function bitsOf(number) {
  let bits = 0
  for (let rest = number; rest > 0n; rest &= rest - 1n) bits++
  return bits
}

const SMALL_PRIMES = Array.from({ length: 500 }, (_, index) => BigInt(2 * index + 3)).filter(
  (number, index, numbers) => numbers.slice(0, index).every((smaller) => number % smaller !== 0n),
)

/** Whether an odd number of 64 bits is a prime: Miller and Rabin, with bases that suffice for these. */
function isPrime(number) {
  if (SMALL_PRIMES.some((prime) => number % prime === 0n)) return false
  let odd = number - 1n
  while (!(odd & 1n)) odd >>= 1n
  return [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n].every((base) => {
    let power = 1n
    for (let square = base, rest = odd; rest > 0n; rest >>= 1n, square = (square * square) % number)
      if (rest & 1n) power = (power * square) % number
    if (power === 1n) return true
    for (let exponent = odd; exponent < number - 1n; exponent <<= 1n, power = (power * power) % number)
      if (power === number - 1n) return true
    return false
  })
}

/**
 * How many numbers V8 tries in vain until it has its secret; `most + 1` if there are more than that.
 * @param {number} seed Of `--random-seed`.
 * @param {number} most
 */
export function vainTries(seed, most = Number.POSITIVE_INFINITY) {
  let state = firstNumber(seed)
  const secret = []
  let tries = 0
  while (secret.length < 3 && tries <= most) {
    let number = 0n
    for (let shift = 0n; shift < 64n; shift += 8n) {
      state = (state + 0x2d358dccaa6c78a5n) & MASK
      const product = state * (state ^ 0x8bb84b93962eacc9n)
      number |= BYTES[Number(((product & MASK) ^ (product >> 64n)) % BigInt(BYTES.length))] << shift
    }
    // These two take no time.
    if (!(number & 1n) || secret.some((before) => bitsOf(before ^ number) !== 32)) continue
    if (isPrime(number)) secret.push(number)
    else tries++
  }
  return tries
}

/** How many seeds there are, as many as two hexadecimal digits can tell. */
const COUNT = 256
/** To prove that three numbers are primes takes as long as 36 of these. */
const MOST_VAIN_TRIES = 5

/** The seeds, from 1: about one in 200. */
export function findSeeds() {
  const seeds = []
  for (let seed = 1; seeds.length < COUNT; seed++)
    if (vainTries(seed, MOST_VAIN_TRIES) <= MOST_VAIN_TRIES) seeds.push(seed)
  return seeds
}
