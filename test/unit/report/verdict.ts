import t from 'tap'
import { type BootReport, EMPTY_REPORT, type ReportedExtension } from '../../../src/report/boot-report.js'
import { judgeMachine, STATUSES } from '../../../src/report/verdict.js'

const extension = (name: string, image = `${name}:1`): ReportedExtension => ({
  ...{ name, image, id: name, number: 0, above: true, rank: 'feature', priority: null, imageId: null },
  ...{ tree: `${name.toUpperCase()}.01234567`, unit: 'run-hostext-0.mount' },
})
const stacked = (names: string[], more: Partial<BootReport> = {}): BootReport => ({
  ...EMPTY_REPORT,
  ...{ root: 'stacked', extensions: names.map((name) => extension(name)) },
  safety: { ...EMPTY_REPORT.safety, kind: 'good' },
  ...more,
})
const plain = (why: string, more: Partial<BootReport> = {}): BootReport => ({ ...EMPTY_REPORT, why, ...more })
const out = (name: string, onRequest = false) => ({ name, who: `${name} (image)`, why: 'why', onRequest })
const safety = (kind: BootReport['safety']['kind'], culprits: string[] = []) => ({
  ...{ kind, attempt: 1, attempts: 2 },
  ...{ culprits, line: 'rolled back: line' },
})

t.test('the gravest thing is said first', async (t) => {
  const good = stacked(['wifi', 'gpu'])
  for (const [now, next, kind, line] of [
    [good, good, 'as intended', 'as intended: 2 host extensions are stacked: wifi, gpu'],
    [stacked(['wifi']), stacked(['wifi']), 'as intended', 'as intended: 1 host extension is stacked: wifi'],
    [good, stacked(['wifi']), 'changed', /^2 host extensions are stacked: wifi, gpu; the next boot differs/],
    [
      stacked(['wifi'], { safety: safety('on trial') }),
      stacked(['wifi']),
      'on trial',
      'on trial, boot 1 of 2: 1 host extension is stacked: wifi',
    ],
    [stacked(['wifi'], { leftOut: [out('gpu')] }), stacked(['wifi']), 'incomplete', /; left out: gpu$/],
    [stacked(['wifi'], { leftOut: [out('gpu', true)] }), stacked(['wifi']), 'as intended', /stacked: wifi$/],
    [
      plain('no container', {}),
      plain('no container'),
      'as intended',
      'as intended: the root is plain: no container',
    ],
    [plain('off'), good, 'plain', /^plain root, although there are extensions: off; the next boot differs/],
    [
      plain('failed', { leftOut: [out('gpu')] }),
      plain('failed'),
      'plain',
      /^plain root, although .*: failed$/,
    ],
    [
      plain('rolled back', { safety: safety('rolled back', ['gpu']) }),
      good,
      'rolled back',
      /^rolled back: because of gpu; booted the plain root; the next boot differs/,
    ],
    [
      stacked(['wifi'], { safety: safety('rolled back', ['gpu']), leftOut: [out('x')] }),
      stacked(['wifi']),
      'rolled back',
      'rolled back: because of gpu; booted the last good stack: wifi',
    ],
    [undefined, good, 'not run', 'hostext has not run in this boot; the next one stacks wifi, gpu'],
    [undefined, plain('no'), 'not run', 'hostext has not run in this boot; the next one stays plain: no'],
  ] as const)
    t.match(judgeMachine(now, next), { kind, line }, String(line))
  const lasting = 'systemd.wants= on the kernel command line'
  t.match(judgeMachine(plain('/x was not mounted'), good, lasting), { kind: 'plain' }, 'not what was asked')
  const once = 'rescue on the kernel command line'
  const asked = judgeMachine(plain(once), good, once)
  t.same(asked, {
    kind: 'as intended',
    line: `as intended: the root is plain: ${once}; without it, the next boot stacks wifi, gpu`,
  })
})

t.test('the exit statuses are those of the manual', async (t) => {
  t.same(STATUSES, {
    'as intended': 0,
    incomplete: 1,
    plain: 3,
    'rolled back': 4,
    'on trial': 5,
    changed: 6,
    'not run': 0,
  })
})
