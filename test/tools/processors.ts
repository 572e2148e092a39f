import t from 'tap'
import { run } from '../boot/process.js'
import { numbersIn, onProcessor, processors, SHARE } from '../boot/processors.js'

t.test('lists of processors', async (t) => {
  t.same(numbersIn('0'), [0])
  t.same(numbersIn('0-2,5,7-8'), [0, 1, 2, 5, 7, 8])
  t.ok(processors().length > 0)
})

t.test('so many machines share a processor, and the next one waits', async (t) => {
  const all = processors()
  // As user-mode Linux does, it uses a descriptor that a lock may have.
  const show =
    'exec 3>/dev/null 4>/dev/null; grep Cpus_allowed_list /proc/self/status; date +%s.%N; sleep 1; date +%s.%N; exit 3'
  const machines = Array.from({ length: SHARE * all.length + 1 }, () =>
    onProcessor((pinned) => run([...pinned, 'sh', '-c', show], { limit: 60 })),
  )
  const seen = (await Promise.all(machines)).map(({ console, code, ended }) => {
    t.equal(code, 3, 'it ends as the command does')
    t.ok(ended)
    const [, list = '', from, to] = /:\t(\S+)\n(\S+)\n(\S+)\n/.exec(console) ?? []
    return { list, from: Number(from), to: Number(to) }
  })
  for (const { list } of seen) t.ok(all.includes(Number(list)), `one processor: ${list}`)
  for (const one of seen) {
    const there = seen.filter(({ list, from, to }) => list === one.list && from <= one.from && one.from < to)
    t.ok(there.length <= SHARE, `${there.length} at once on processor ${one.list}`)
  }
  t.ok(new Set(seen.map(({ list }) => list)).size === all.length, 'all processors are used')
})

t.test('a machine that was ended leaves its processor', async (t) => {
  for (let count = 0; count <= SHARE * processors().length; count++) {
    const { ended } = await onProcessor((pinned) => run([...pinned, 'sleep', '1000'], { limit: 0.2 }))
    t.notOk(ended)
  }
})
