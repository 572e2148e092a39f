import t, { type Test } from 'tap'

/** The message of the error that `assert` throws, instead of passing or failing. */
function refusal(t: Test, assert: (t: Test) => unknown): string {
  try {
    assert(t)
  } catch (error) {
    return (error as Error).message
  }
  return 'not refused'
}

t.test('what would pass on more than it says is refused, in every test file', async (t) => {
  const found = { a: [1, 2], b: { c: 'text' }, s: new Set([1]), m: new Map([[1, 2]]) }
  for (const [pattern, why] of [
    [{}, ' is empty'],
    [{ a: [] }, '["a"] is empty'],
    [{ a: [1] }, '["a"] has 1 of 2'],
    [{ a: [1, 2], b: {} }, '["b"] is empty'],
    [{ s: new Set() }, '["s"] is empty'],
    [{ m: new Map() }, '["m"] is empty'],
    [{ b: { c: /.*/ } }, '["b"]["c"] matches all'],
    [{ b: { c: /^/gy } }, '["b"]["c"] matches all'],
  ] as const) {
    t.equal(
      refusal(t, (t) => t.match(found, pattern)),
      `t.match() says too little: the pattern${why}`,
    )
  }
  for (const name of ['has', 'hasStrict', 'matchOnly'] as const) {
    t.equal(
      refusal(t, (t) => t[name](found, { b: {} })),
      `t.${name}() says too little: the pattern["b"] is empty`,
    )
  }
  t.equal(
    refusal(t, (t) => t.notMatch(undefined, 'x')),
    't.notMatch() says too little: undefined has nothing',
  )
  const fail = () => {
    throw new Error('of another kind')
  }
  for (const refused of [
    refusal(t, (t) => t.throws(fail)),
    refusal(t, (t) => t.throws(fail, 'a name')),
    refusal(t, (t) => t.rejects(fail)).replace('rejects', 'throws'),
  ])
    t.equal(refused, 't.throws() says too little: no error is named')
})

t.test('what says something is not', async (t) => {
  const circle: { self?: unknown; name: string } = { name: 'circle' }
  circle.self = circle
  t.match(circle, circle)
  t.match({ a: [1], s: '', u: undefined }, { a: [1], s: '', u: undefined })
  t.match({ none: [], two: [1, 2] }, { none: { length: 0 }, two: { length: 2 } })
  t.match('', /^$/)
  t.throws(() => JSON.parse('{'), SyntaxError)
})
