import { join } from 'node:path'
import t from 'tap'
import { compare, isNoise, OTHER } from '../packages/compare.js'
import { type Fact, factsOf } from '../packages/facts.js'
import { readOwners } from '../packages/owners.js'
import { SETS } from '../packages/sets.js'
import { count, differences, summary, table } from '../packages/table.js'
import { makeTree } from '../support/tree.js'

const facts = (reports: Record<string, string>): string[] => [
  ...factsOf(new Map(Object.entries(reports))).keys(),
]

t.test('what the reports of a machine say', async (t) => {
  t.same(facts({ units: 'a.service  enabled enabled\nb.socket static -\nc.service alias -' }), [
    'unit a.service is known',
    'unit a.service is enabled',
    'unit b.socket is known',
    'unit c.service is alias',
  ])
  t.same(
    facts({
      states:
        'a.service loaded active running A\nb.service loaded inactive dead B\nc.service not-found inactive dead',
    }),
    ['unit a.service runs'],
  )
  t.same(facts({ states: 'a.service loaded failed failed A' }), ['unit a.service has failed'])
  t.same(
    facts({ started: 'a.service\nb.service\nc.mount', states: 'b.service loaded failed failed B' }),
    ['unit b.service has failed', 'unit a.service runs'],
    'it may have ended; it must not have failed',
  )
  t.same(facts({ 'request:a': 'yes', 'request:b': 'no: nothing', 'request:a.status': '0' }), ['a answers'])
  t.same(facts({ passwd: 'a:x:100:200:A:/home/a:/bin/sh', group: 'g:x:200:b,a' }), [
    'user a: group g, /home/a, /bin/sh',
    'group g: a b',
  ])
  t.same(facts({ files: 'd 755 a:g /var/lib/a' }), ['/var/lib/a: d 755 a:g'])
  t.same(
    facts({ files: 's 777 a:a /run/a/1234\nf 600 a:a /run/a/x.d103df3fa13a8c07\nd 755 a:a /etc/a.d/8' }),
    ['/run/a/*: s 777 a:a', '/run/a/x.*: f 600 a:a', '/etc/a.d/8: d 755 a:a'],
  )
  t.same(facts({ libraries: 'liba.so.1\nlibb.so.2' }), ['library liba.so.1', 'library libb.so.2'])
})

t.test('a line of configuration is the same in another place, and a comment is none', async (t) => {
  const of = (text: string): string[] => facts({ 'config:udev/rules.d': text })
  const [own] = of('# /usr/lib/udev/rules.d/1.rules\nKERNEL=="a"\n\n# /etc/udev/rules.d/2.rules\n')
  t.match(own, /^udev\/rules\.d: \/usr\/lib\/udev\/rules\.d\/1\.rules \([0-9a-f]{8}\)$/)
  t.equal(of('# /lib/udev/rules.d/1.rules\n# a comment\nKERNEL=="a"\n')[0], own)
  t.not(of('# /usr/lib/udev/rules.d/1.rules\nKERNEL=="b"\n')[0], own)
})

t.test('what sysusers.d and tmpfiles.d say, if it has been done', async (t) => {
  const reports = {
    'config:sysusers.d': '# /usr/lib/sysusers.d/a.conf\nu a - "A"\nu! b -\nu c -\ng d -',
    'config:tmpfiles.d':
      '# /usr/lib/tmpfiles.d/a.conf\nd /run/a 0755\nd /var/run/b/ - -\nD! /run/c\nf /run/f',
    passwd: 'a:x:1:1::/:/bin/sh\nb:x:2:2::/:/bin/sh',
    files: 'd 755 a:a /run/a\nd 755 a:a /run/b\nf 644 a:a /run/f',
  }
  t.same(
    facts(reports).filter((text) => text.endsWith('exists')),
    [
      'sysusers.d: user a exists',
      'sysusers.d: user b exists',
      'tmpfiles.d: /run/a exists',
      'tmpfiles.d: /run/b exists',
    ],
  )
})

const fact = (kind: Fact['kind'], subject: string, text: string): [string, Fact] => [
  text,
  { kind, subject, text },
]
const SET = { name: 's', packages: [{ name: 'p' }, { name: 'q' }] }
const ROWS = compare(
  SET,
  {
    base: new Map([fact('runs', 'old', 'old runs')]),
    installed: new Map([
      fact('runs', 'old', 'old runs'),
      fact('runs', 'p', 'p runs'),
      fact('runs', 'q', 'q runs'),
      fact('seen', 'q', 'q is known'),
      fact('is', 'else', 'else is'),
      fact('is', '/run/udev/x', 'noise'),
      fact('fails', 'both', 'both has failed'),
    ]),
    image: new Map([
      fact('runs', 'p', 'p runs'),
      fact('seen', 'q', 'q is known'),
      fact('is', 'else', 'else is'),
      fact('fails', 'else', 'else has failed'),
      fact('fails', 'both', 'both has failed'),
    ]),
    unpacked: new Map(),
  },
  ({ subject }) => (subject.length === 1 ? subject : undefined),
)
const RESULTS = [{ release: 'bookworm' as const, set: 's', rows: ROWS }]

t.test(
  'what is true with a package installed, and not without it, is looked for in the other forms',
  async (t) => {
    t.same(
      ROWS.map(({ name, image, unpacked }) => [
        name,
        image.runs.of,
        image.runs.missing.length,
        unpacked.seen.of,
      ]),
      [
        ['p', 1, 0, 0],
        ['q', 1, 1, 1],
        [OTHER, 1, 1, 0],
      ],
    )
    t.same(count(RESULTS, 'image', 'runs'), { of: 3, same: 1 }, 'nothing may fail that did not')
    t.same(count(RESULTS, 'image', 'is'), { of: 1, same: 1 })
    t.same(
      differences(RESULTS).map(({ name, form, text }) => [name, form, text]),
      [
        ['q', 'image', 'q runs'],
        ['q', 'unpacked', 'q is known'],
        [OTHER, 'image', 'else has failed'],
      ],
      'nothing has to run from unpacked packages',
    )
    t.ok(isNoise({ kind: 'is', subject: '/run/systemd/x', text: '' }))
    t.notOk(isNoise({ kind: 'is', subject: '/run/redis', text: '' }))
  },
)

t.test('the table names each difference and its reason', async (t) => {
  const lines = table(RESULTS, [
    { form: 'image', text: /^q runs/, why: 'it must not' },
    { form: 'image', text: /^q is known/, why: 'another form' },
  ]).split('\n')
  t.ok(lines.includes('| p | bookworm | 1 | all 1 run |  |'))
  t.ok(lines.includes('| q | bookworm | 1 | **0 of 1** run, all 1 known | **0 of 1** known |'))
  t.ok(lines.includes('- q, image: q runs: it must not (bookworm)'))
  t.ok(lines.includes('- q, unpacked: q is known: **not explained** (bookworm)'))
  t.match(summary(RESULTS)[0], /^bookworm, 2 packages: .* 1 of 3 \(33\.3 %\) runs from an image/)
})

t.test('what belongs to which package', async (t) => {
  const status = (name: string, depends: string): string =>
    `Package: ${name}\nStatus: install ok installed\nMaintainer: nobody <nobody@example.org>\nArchitecture: all\nVersion: 1\nDepends: ${depends}\nDescription: a test\n`
  const info = 'root/var/lib/dpkg/info'
  const place = makeTree(t, {
    'base/etc/shared/x': '',
    'root/etc/shared/x': '',
    'root/etc/p/conf': '',
    'root/usr/lib/systemd/system/p@.service': '',
    'root/etc/init.d/q': '',
    'root/usr/lib/libp.so.1': '',
    'root/var/lib/dpkg/status': [
      status('p', 'p-common (>= 1) | other'),
      status('p-common', 'libc6'),
      status('q', 'p-common'),
    ].join('\n'),
    [`${info}/p.list`]: '/.\n/etc\n/etc/shared\n/lib/systemd/system/p@.service\n',
    [`${info}/p-common.list`]: '/etc/p\n/etc/p/conf\n/usr/lib/libp.so.1\n',
    [`${info}/p-common.postinst`]: 'adduser --system p-user\n',
    [`${info}/q.list`]: '/etc/init.d/q\n',
  })
  const owner = readOwners(join(place, 'root'), join(place, 'base'), SET, ['p', 'p-common', 'q'])
  const of = (subject: string, kind: Fact['kind'] = 'runs') => owner({ kind, subject, text: '' })
  t.equal(of('p@instance.service'), 'p', 'an instance of its template')
  t.equal(of('q.service'), 'q', 'made of its init script')
  t.equal(of('/etc/p/conf', 'is'), 'p', 'of a package that it needs; the first one counts')
  t.equal(of('/etc/p/made', 'is'), 'p', 'in its directory')
  t.equal(of('/etc/shared/x', 'is'), undefined, 'the base has it')
  t.equal(of('libp.so.1', 'seen'), 'p')
  t.equal(of('user p-user', 'is'), 'p', 'its script makes it')
  t.equal(of('user p', 'is'), undefined)
  t.equal(of('package q'), 'q')
})

t.test('sixty packages at least, each once', async (t) => {
  const names = SETS.flatMap(({ packages }) => packages.map(({ name }) => name))
  t.ok(names.length >= 60)
  t.equal(new Set(names).size, names.length)
})
