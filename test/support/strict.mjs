/**
 * Loaded before every test file (package.json: tap). Makes errors of assertions that would pass by mistake.
 * In a pattern of tap's match(), an empty array, object, set or map matches any of its kind, and an array
 * matches a longer one; notMatch() passes on a missing value, and throws() without a pattern on any error.
 * JavaScript, because it is loaded before the compiler for the rest.
 */
import { Assertions } from '@tapjs/asserts'

/** Texts for testing whether a regular expression matches everything. */
const SAMPLES = ['', 'any text,\nof two \u001b[1mlines\u2028 and characters of all kinds: ö\0']

/** Why `pattern` would match more than it says, perhaps also `found`; undefined if it would not. */
function vague(found, pattern, place = '', seen = new Set()) {
  if (pattern instanceof RegExp)
    return SAMPLES.every((text) => matches(pattern, text)) ? `the pattern${place} matches all` : undefined
  if (typeof pattern !== 'object' || pattern === null || seen.has(pattern)) return undefined
  if (pattern instanceof Error || pattern instanceof Date || Buffer.isBuffer(pattern)) return undefined
  seen.add(pattern)
  const parts = 'size' in pattern && 'entries' in pattern ? [...pattern.entries()] : Object.entries(pattern)
  if (parts.length === 0) return `the pattern${place} is empty`
  if (Array.isArray(pattern) && Array.isArray(found) && found.length > pattern.length)
    return `the pattern${place} has ${pattern.length} of ${found.length}`
  for (const [key, part] of parts) {
    const why = vague(found?.[key], part, `${place}[${JSON.stringify(key)}]`, seen)
    if (why !== undefined) return why
  }
  return undefined
}

function matches({ source, flags }, text) {
  return new RegExp(source, flags.replace(/[gy]/g, '')).test(text)
}

function refuse(name, find) {
  const assertion = Assertions.prototype[name]
  Assertions.prototype[name] = function (...values) {
    const why = find(...values)
    if (why !== undefined) throw new Error(`t.${name}() says too little: ${why}`)
    return assertion.apply(this, values)
  }
}

for (const name of ['match', 'matchOnly', 'has', 'hasStrict'])
  refuse(name, (...values) => vague(...values.slice(0, 2)))
for (const name of ['not', 'notSame', 'notMatch', 'notHas', 'notHasStrict'])
  refuse(name, (found) => (found === undefined || found === null ? `${found} has nothing` : undefined))
for (const name of ['throws', 'rejects']) {
  refuse(name, (_work, wanted) =>
    wanted === undefined || typeof wanted === 'string' ? 'no error is named' : undefined,
  )
}
