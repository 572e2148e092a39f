import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { type Accounts, assignIds, type Ids, parseAccounts } from '../../../src/image/accounts.js'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { makeTree } from '../../support/tree.js'

const NOTHING: Ids = { users: {}, groups: {} }
const HEADER = "# Made by hostext from the image's /etc/passwd and /etc/group."

/** `mosquitto 105:111 ssl-cert` is a user in two groups, `docker 120 pi` a group with a member. */
function accounts(users: string, groups: string): Accounts {
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '')
  const passwd = lines(users).map((line) => {
    const [name, id] = line.trim().split(' ')
    return `${name}:x:${id}::/var/lib/${name}:/usr/sbin/nologin`
  })
  const group = lines(groups).map((line) => {
    const [name, gid, ...members] = line.trim().split(' ')
    return `${name}:x:${gid}:${members.join(',')}`
  })
  return parseAccounts(passwd.join('\n'), group.join('\n'))
}

const BASE = accounts(
  `root 0:0
   www-data 33:33
   messagebus 105:111
   pi 1000:1000
   nobody 65534:65534`,
  `root 0
   www-data 33
   ssl-cert 110
   messagebus 111
   pi 1000
   nogroup 65534`,
)

t.test('passwd and group', async (t) => {
  const { users, groups } = parseAccounts(
    [
      'root:x:0:0:root:/root:/bin/bash',
      'app:$6$secret:1000:100:An, App:/home/app:/bin/sh',
      'app:x:0:0:the second one:/:/bin/sh',
      'john.doe:x:4294967294:1::/:',
    ].join('\n'),
    'root:x:0:\nusers:!:100:app,john.doe,,app,+x,a b\nusers:x:0:\n',
  )
  t.same(users, [
    { name: 'root', uid: 0, gid: 0, gecos: 'root', home: '/root', shell: '/bin/bash' },
    { name: 'app', uid: 1000, gid: 100, gecos: 'An, App', home: '/home/app', shell: '/bin/sh' },
    { name: 'john.doe', uid: 4294967294, gid: 1, gecos: '', home: '/', shell: '' },
  ])
  t.same(groups, [
    { name: 'root', gid: 0, members: [] },
    { name: 'users', gid: 100, members: ['app', 'john.doe'] },
  ])
})

t.test('lines that are skipped', async (t) => {
  for (const line of [
    '',
    '+',
    '+@netgroup:x:5:5::/:/bin/sh',
    '-user:x:5:5::/:/bin/sh',
    '#user:x:5:5::/:/bin/sh',
    ':x:5:5::/:/bin/sh',
    'a b:x:5:5::/:/bin/sh',
    'a\u0007:x:5:5::/:/bin/sh',
    'a\u202e:x:5:5::/:/bin/sh',
    'few:x:5:5::/',
    'many:x:5:5::/:/bin/sh:',
    'id:x:-1:5::/:/bin/sh',
    'id:x:5:::/:/bin/sh',
    'id:x:0x5:5::/:/bin/sh',
    'id:x:65535:5::/:/bin/sh',
    'id:x:4294967295:5::/:/bin/sh',
    'id:x:99999999999999999999:5::/:/bin/sh',
    `long:x:5:5:${'x'.repeat(70_000)}:/:/bin/sh`,
    `${'n'.repeat(300)}:x:5:5::/:/bin/sh`,
  ])
    t.same(parseAccounts(line, line.split(':').slice(0, 4).join(':')).users, [], line.slice(0, 80))
  t.same(parseAccounts('', 'few:x:5\nmany:x:5::\n+:x:5:\nid:x:65535:').groups, [])
  t.throws(() => parseAccounts('a:x:1:1::/:\n'.repeat(20_001), ''), { message: 'more than 20000 lines' })
})

t.test('IDs go by name', async (t) => {
  const image = accounts(
    `root 0:0
     www-data 82:82
     mosquitto 104:106
     postgres 105:111
     app 1000:1000
     nobody 99:99`,
    `root 0
     www-data 82
     mosquitto 106
     ssl-cert 109 postgres www-data
     postgres 111
     app 1000
     nobody 99`,
  )
  const { uids, gids, given, sysusers, leftOut } = assignIds(image, BASE, NOTHING)
  t.same(uids, [
    [82, 33],
    [105, 999],
    [1000, 998],
    [99, 65534],
  ])
  t.same(gids, [
    [82, 33],
    [109, 110],
    [111, 999],
    [1000, 998],
  ])
  t.same(given.users, { mosquitto: 104, postgres: 999, app: 998 })
  t.same(given.groups, { mosquitto: 106, postgres: 999, app: 998, nobody: 99 })
  t.same(leftOut, { users: [], groups: [] })
  t.equal(
    sysusers,
    `${HEADER}
g mosquitto 106
g postgres 999
g app 998
g nobody 99
u mosquitto 104:mosquitto - /var/lib/mosquitto /usr/sbin/nologin
u postgres 999:postgres - /var/lib/postgres /usr/sbin/nologin
u app 998:app - /var/lib/app /usr/sbin/nologin
m postgres ssl-cert
`,
    'www-data is not added to ssl-cert: the base root has both',
  )
  t.equal(assignIds(BASE, BASE, NOTHING).sysusers, '')
})

t.test('what was given before', async (t) => {
  const image = accounts('a 500:500\nb 501:501\nc 502:502', 'a 500\nb 501\nc 502')
  const remembered = {
    users: { a: 700, b: 33, d: 502, pi: 999, e: 999 },
    groups: { a: 700, x: 501, b: -1, y: Number.NaN },
  }
  const { uids, gids, given } = assignIds(image, BASE, remembered)
  t.same(given.users, { a: 700, b: 501, c: 998 }, '33 is www-data now, 502 is d, 999 is e')
  t.same(given.groups, { a: 700, b: 997, c: 502 }, '501 is x, c keeps its own')
  t.same(uids, [
    [500, 700],
    [502, 998],
  ])
  t.same(gids, [
    [500, 700],
    [501, 997],
  ])
})

t.test('what is on the machine counts more than what was given before', async (t) => {
  const image = accounts('node 1000:1000\nredis 7:7\nalice 8:8', 'node 1000\nredis 7\nalice 8')
  const base = accounts('mosquitto 101:101', 'mosquitto 101')
  const remembered = {
    users: { node: 1000, redis: 700, toor: 3 },
    groups: { node: 1000, redis: 700 },
  }
  const existing = {
    users: { mosquitto: 9, alice: 1000, redis: 101, toor: 0 },
    groups: { mosquitto: 9, alice: 1000, redis: 101 },
  }
  const { uids, gids, given } = assignIds(image, base, remembered, existing)
  t.same(given, {
    users: { node: 999, redis: 101, alice: 1000 },
    groups: { node: 999, redis: 101, alice: 1000 },
  })
  t.same(uids, [
    [1000, 999],
    [7, 101],
    [8, 1000],
  ])
  t.same(gids, uids)
})

t.test('a user and its group have the same number if possible', async (t) => {
  const pair = assignIds(accounts('new 105:300', 'new 300'), BASE, NOTHING)
  t.same([pair.given.users, pair.given.groups], [{ new: 300 }, { new: 300 }])
  const taken = assignIds(accounts('new 105:300\nother 300:7', 'new 300\nseven 7'), BASE, NOTHING)
  t.same(taken.given.users, { new: 999, other: 300 })
})

t.test('root and nobody', async (t) => {
  const image = accounts(
    `root 5:5
     toor 0:0
     zero 0:7
     wheel 10:10
     nemo 65534:65534
     shift 1001:0`,
    `root 5 shift
     null 0 shift toor
     wheel 10 toor shift root
     nemo 65534 shift`,
  )
  const base = accounts('root 0:0\nnobody 65534:65534', 'root 0\nwheel 0\nnogroup 65534')
  const { uids, gids, given, sysusers, leftOut } = assignIds(image, base, NOTHING)
  t.same([uids, gids], [[], []])
  t.same(given, { users: { wheel: 10, shift: 1001 }, groups: {} })
  t.equal(sysusers, `${HEADER}\nu shift 1001:root - /var/lib/shift /usr/sbin/nologin\n`)
  t.same(leftOut, { users: ['wheel'], groups: [] }, 'its group would be that of root')

  const empty = assignIds(image, accounts('', ''), NOTHING)
  t.equal(
    empty.sysusers,
    `${HEADER}
g wheel 10
g nemo 65534
u wheel 10:wheel - /var/lib/wheel /usr/sbin/nologin
u nemo 65534:nemo - /var/lib/nemo /usr/sbin/nologin
`,
    'root is never created',
  )
  t.same(empty.leftOut.users, ['root', 'shift'], 'nor is a user in a group that is not there')
})

t.test('groups without a name', async (t) => {
  const image = accounts('a 500:300\nb 501:300\nc 502:111\nd 503:400', 'd 7')
  const { given, gids, sysusers } = assignIds(image, BASE, NOTHING)
  t.same(given.groups, { a: 300, c: 502, d: 7 }, 'each has the name of its first user')
  t.same(gids, [[111, 502]])
  t.match(sysusers, /^u a 500:a /m)
  t.match(sysusers, /^u b 501:a /m)
  t.match(sysusers, /^u c 502:c /m)
  t.match(sysusers, /^u d 503:d /m)
})

t.test('names that cannot be created, and IDs of two names', async (t) => {
  const image = accounts(
    `john.doe 500:500
     ${'n'.repeat(32)} 501:500
     first 502:500
     second 502:500
     www-data 502:500
     constructor 503:500
     __proto__ 1000:500`,
    `a.b 500 john.doe second nobodyelse
     first 500 first constructor`,
  )
  const { given, sysusers, leftOut } = assignIds(image, BASE, NOTHING)
  t.same(leftOut, { users: ['john.doe', 'n'.repeat(32), 'second'], groups: ['a.b'] })
  t.same(Object.entries(given.users), [
    ['first', 502],
    ['constructor', 503],
    ['__proto__', 999],
  ])
  t.notMatch(sysusers, /john|second|a\.b|nobodyelse/)
  const again = assignIds(image, BASE, JSON.parse(JSON.stringify(given)))
  t.equal(again.sysusers, sysusers, 'remembered, whatever its name is')

  const known = accounts('john.doe 1000:100', 'users 100')
  t.same(assignIds(known, BASE, NOTHING).leftOut.users, ['john.doe'])
  const known2 = assignIds(accounts('app 1000:100', 'users 100'), known, NOTHING)
  t.same(known2.uids, [[1000, 999]], 'a name that cannot be created has an ID')
  t.same(assignIds(accounts('john.doe 7:100', 'users 100'), known, NOTHING).uids, [[7, 1000]])
})

t.test('too many', async (t) => {
  const many = (count: number) => {
    const users = Array.from({ length: count }, (_, index) => `u${index} ${2000 + index}:1`)
    return accounts(users.join('\n'), 'one 1')
  }
  t.throws(() => assignIds(many(6000), BASE, NOTHING), {
    message: 'more than 5000 users, groups and members to create',
  })
  const others = accounts('', '')
  others.users = many(1000).users.map((user) => ({ ...user, name: `o${user.name}` }))
  t.throws(() => assignIds(many(1000), others, NOTHING), { message: /^no system ID is free for u\d+$/ })
})

t.test('text that systemd-sysusers would read otherwise', async (t) => {
  const line = (gecos: string, home: string, shell: string) =>
    assignIds(parseAccounts(`app:x:7:7:${gecos}:${home}:${shell}`, 'app:x:7:'), BASE, NOTHING)
      .sysusers.split('\n')[2]
      ?.slice('u app 7:app '.length)
  t.equal(line('Application', '/srv//app/', '/bin/sh'), '"Application" /srv/app /bin/sh')
  t.equal(line('', '', ''), '- - -')
  t.equal(line('%H "\\ \u0007\u202e\u0085é', '/a b%', '/"x"'), '"%%H \\"\\\\ é" "/a b%%" "/\\"x\\""')
  t.equal(line('x', '/a/../b', 'sh'), '"x" - -')
  t.equal(line('x', '/a\u0007', `/${'x'.repeat(300)}`), '"x" - -')
})

/** Few names and few IDs, so that they clash. */
const NAMES = ['root', 'nobody', 'toor', 'a', 'b', 'c', 'j.d', 'x.y', '__proto__', 'constructor']
const id = fc.constantFrom(0, 1, 2, 3, 4, 5, 998, 999, 1000, 65534)
const someAccounts: fc.Arbitrary<Accounts> = fc.record({
  users: fc.uniqueArray(
    fc
      .tuple(fc.constantFrom(...NAMES), id, id)
      .map(([name, uid, gid]) => ({ name, uid, gid, gecos: name, home: '/', shell: '' })),
    { selector: ({ name }) => name },
  ),
  groups: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...NAMES),
      gid: id,
      members: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 3 }),
    }),
    { selector: ({ name }) => name },
  ),
})
const someIds = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), id))
  .map((entries): Record<string, number> => Object.fromEntries(entries))
const someBase = someAccounts.map(({ users, groups }) => ({
  users: users.filter(({ name, uid }) => name !== 'root' || uid === 0),
  groups: groups.filter(({ name, gid }) => name !== 'root' || gid === 0),
}))
const inputs = fc.tuple(someAccounts, someBase, fc.record({ users: someIds, groups: someIds }))

function ensure(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

function gidOf({ groups }: Accounts, name: string): number {
  const group = groups.find((group) => group.name === name)
  ensure(group, `no group ${name}`)
  return group.gid
}

/** What systemd-sysusers makes of the base root with the file. */
function create(base: Accounts, sysusers: string): Accounts {
  const made: Accounts = structuredClone(base)
  for (const line of sysusers.split('\n').slice(1)) {
    const [kind, name = '', value = ''] = line.split(' ')
    for (const word of line === '' ? [] : [name, value.split(':').at(-1) as string])
      ensure(/^[A-Za-z0-9_-]+$/.test(word), `${word} makes systemd-sysusers refuse the file`)
    if (kind === 'g') {
      ensure(!made.groups.some((group) => group.name === name || group.gid === Number(value)), line)
      made.groups.push({ name, gid: Number(value), members: [] })
    } else if (kind === 'u') {
      const [uid, gid] = [Number(value.split(':')[0]), gidOf(made, value.split(':')[1] as string)]
      ensure(!made.users.some((user) => user.name === name || user.uid === uid), line)
      made.users.push({ name, uid, gid, gecos: '', home: '/', shell: '' })
    } else if (kind === 'm') {
      ensure(
        made.users.some((user) => user.name === name && user.uid !== 0),
        line,
      )
      const group = made.groups.find((group) => group.name === value)
      ensure(group && !group.members.includes(name), line)
      group.members.push(name)
    } else ensure(line === '', line)
  }
  return made
}

for (const [what, parameters] of Object.entries({
  'the fixed seed': { seed: FIXED_SEED, numRuns: 2000 },
  'another seed': { seed: ROTATING_SEED, numRuns: 500 },
})) {
  t.test(`any image on any base root, with ${what}`, async (t) => {
    const property = fc.property(inputs, ([image, base, remembered]) => {
      const assigned = assignIds(image, base, remembered)
      const after = create(base, assigned.sysusers)
      const kinds = [
        { what: 'users', map: assigned.uids, id: 'uid' },
        { what: 'groups', map: assigned.gids, id: 'gid' },
      ] as const
      for (const { what, map, id } of kinds) {
        const [from, to, given] = [image[what], after[what], assigned.given[what]]
        const leftOut = assigned.leftOut[what]
        const idOf = (account: object) => (account as Record<string, number>)[id]
        const ids = new Map(map)
        ensure(ids.size === map.length, 'one ID from each')
        ensure(!map.some((pair) => pair.some((id) => id === 0) || pair[0] === 65534), 'root and nobody stay')
        for (const account of from) {
          const before = idOf(account) as number
          const counts = ({ name }: { name: string }) => Object.hasOwn(given, name) || !leftOut.includes(name)
          const first = from.find((other) => idOf(other) === before && counts(other))
          if (first?.name !== account.name || before === 0 || before === 65534) continue
          const there = to.filter((other) => other.name === account.name)
          if (there.length === 0 || idOf(there[0] as object) === 0) continue
          ensure((ids.get(before) ?? before) === idOf(there[0] as object), `${account.name} has its files`)
        }
        for (const [name, id] of Object.entries(given)) {
          const others = to.filter((other) => idOf(other) === id && other.name !== name)
          ensure(others.length === 0, `${id} of ${name} is ${others[0]?.name}'s`)
        }
        ensure(new Set(Object.values(given)).size === Object.keys(given).length, 'an ID of two names')
      }
      const again = [
        assignIds(image, base, { users: { ...assigned.given.users }, groups: { ...assigned.given.groups } }),
        assignIds(image, after, assigned.given),
      ]
      // Whoever is left out is not in the root, so only `given` has the ID.
      if (assigned.leftOut.users.length === 0) again.push(assignIds(image, after, NOTHING))
      for (const { uids, gids } of again) {
        ensure(
          JSON.stringify([uids, gids]) === JSON.stringify([assigned.uids, assigned.gids]),
          'the same again',
        )
      }
      ensure(again[0]?.sysusers === assigned.sysusers, 'the same file again')
      ensure(again[1]?.sysusers === '', `nothing left to create: ${again[1]?.sysusers}`)
    })
    const details = fc.check(property, parameters)
    t.equal(
      details.failed ? `${details.errorInstance}\n${fc.defaultReportMessage(details)}` : 'holds',
      'holds',
    )
  })
}

const SYSUSERS = '/usr/bin/systemd-sysusers'
t.test('systemd-sysusers creates them', { skip: !existsSync(SYSUSERS) && `no ${SYSUSERS}` }, async (t) => {
  const text = ({ users, groups }: Accounts) => ({
    'etc/passwd': users
      .map(({ name, uid, gid, gecos, home, shell }) => `${name}:x:${uid}:${gid}:${gecos}:${home}:${shell}\n`)
      .join(''),
    'etc/group': groups.map(({ name, gid, members }) => `${name}:x:${gid}:${members.join(',')}\n`).join(''),
  })
  const image = accounts(
    `postgres 105:111
     app 1000:0
     lone 700:701
     ssl-cert 701:111
     big 4294967294:33
     www-data 33:33`,
    `postgres 111
     ssl-cert 109 postgres
     same 105 postgres www-data
     www-data 33`,
  )
  Object.assign(image.users[1] as object, { gecos: '%H "a\\ \'é', home: '/a b"%', shell: '/bin/sh x' })
  const { sysusers, given } = assignIds(image, BASE, NOTHING)
  const root = makeTree(t, { ...text(BASE), 'etc/sysusers.d/hostext.conf': sysusers })
  execFileSync(SYSUSERS, [`--root=${root}`], { stdio: 'pipe' })
  const made = parseAccounts(
    readFileSync(`${root}/etc/passwd`, 'utf8'),
    readFileSync(`${root}/etc/group`, 'utf8'),
  )
  for (const [name, uid] of Object.entries(given.users))
    t.equal(made.users.find((user) => user.name === name)?.uid, uid, name)
  for (const [name, gid] of Object.entries(given.groups))
    t.equal(made.groups.find((group) => group.name === name)?.gid, gid, name)
  t.equal(made.users.length, BASE.users.length + 5)
  t.match(
    made.users.find(({ name }) => name === 'app'),
    { gid: 0, gecos: '%H "a\\ \'é', home: '/a b"%', shell: '/bin/sh x' },
  )
  t.equal(made.users.find(({ name }) => name === 'lone')?.gid, 701)
  t.equal(
    made.users.find(({ name }) => name === 'ssl-cert')?.gid,
    given.groups.postgres,
    'not that of the group of its name',
  )
  t.same(made.groups.find(({ name }) => name === 'ssl-cert')?.members, ['postgres'])
  t.same(made.groups.find(({ name }) => name === 'same')?.members, ['postgres', 'www-data'])
  t.same(assignIds(image, made, NOTHING).sysusers, '', 'nothing is left to create')
})
