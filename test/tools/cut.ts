import t from 'tap'
import { cutter, endingOf, seeded } from '../boot/cut.js'

t.test('the power is cut when a text was seen, or a time after it', async (t) => {
  const atOnce = cutter({ at: 'stacking' })
  t.notOk(atOnce('systemd', 0))
  t.ok(atOnce('systemd\nstacking', 100))
  const later = cutter({ at: 'stacking', after: 500 })
  t.notOk(later('systemd', 1000))
  t.notOk(later('systemd stacking', 2000))
  t.notOk(later('systemd stacking', 2499))
  t.ok(later('systemd stacking', 2500))
  const fromStart = cutter({ after: 300 })
  t.notOk(fromStart('', 1000))
  t.notOk(fromStart('', 1299))
  t.ok(fromStart('', 1300))
})

t.test('how a machine ended is the last thing its kernel says', async (t) => {
  t.equal(endingOf('[ 9.1] reboot: Power down\n'), 'poweroff')
  t.equal(endingOf('[ 9.1] reboot: Restarting system\n'), 'reboot')
  t.equal(endingOf('[ 9.1] sysrq: Resetting\n'), 'reboot', 'in an emergency the kernel says no more')
  t.equal(endingOf('[ 9.1] Kernel panic - not syncing\n'), 'unknown')
  t.equal(endingOf(`reboot: Power down${' '.repeat(5000)}`), 'unknown', 'not what something said before')
})

t.test('a seed has its numbers', async (t) => {
  const numbers = (seed: number) => Array.from({ length: 1000 }, seeded(seed))
  t.same(numbers(7), numbers(7))
  t.notSame(numbers(7), numbers(8))
  const tenths = new Set(numbers(7).map((number) => Math.floor(number * 10)))
  t.same(
    [...tenths].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    'from 0 up to 1, all over',
  )
})
