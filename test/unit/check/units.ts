import t, { type Test } from 'tap'
import { readDirectory } from '../../../src/check/directory.js'
import { Findings } from '../../../src/check/finding.js'
import { stackedFinder } from '../../../src/check/stacked.js'
import { type BroughtUnit, checkUnits } from '../../../src/check/units.js'
import { makeTree, type Tree } from '../../support/tree.js'

const UNITS = 'usr/lib/systemd/system'
const WANTS = 'etc/systemd/system/multi-user.target.wants'

function check(
  t: Test,
  files: Tree,
  root: Tree | undefined = undefined,
  more: { isWhole?: boolean; users?: string[] } = {},
): { lines: string[]; units: Record<string, BroughtUnit['state']> } {
  const { top: tree } = readDirectory(makeTree(t, files), false)
  const base = { prefix: root ? makeTree(t, root) : '/proc/none' }
  const findings = new Findings()
  const units = checkUnits(
    {
      ...{ tree, root: base, hasRoot: root !== undefined, isWhole: more.isWhole ?? false },
      ...{ find: stackedFinder(tree, base, true), users: new Set(more.users) },
    },
    findings,
  )
  return {
    lines: findings.sorted().map(({ level, code, text }) => `${level} ${code}: ${text}`),
    units: Object.fromEntries(units.map(({ name, state }) => [name, state])),
  }
}

const service = (more = ''): string => `[Service]\nExecStart=/usr/bin/app\n${more}`
const INSTALL = '[Install]\nWantedBy=multi-user.target\n'
const PROGRAM = { 'usr/bin/app*': '#!/bin/sh\n' }

t.test('what starts a unit', async (t) => {
  const { units, lines } = check(t, {
    ...PROGRAM,
    [`${UNITS}/linked.service`]: service(INSTALL),
    [`${WANTS}/linked.service`]: `-> /${UNITS}/linked.service`,
    [`${UNITS}/forgotten.service`]: service(INSTALL),
    [`${UNITS}/lost.service`]: service(),
    [`${UNITS}/timed.service`]: service(),
    [`${UNITS}/timed.timer`]: '[Timer]\nOnBootSec=1\n',
    [`${WANTS}/timed.timer`]: `-> /${UNITS}/timed.timer`,
    [`${UNITS}/wanted.service`]: service(),
    [`${UNITS}/wanting.service`]: `[Unit]\nWants=wanted.service\n${service()}`,
    [`${WANTS}/wanting.service`]: '-> x',
    [`${UNITS}/each@.service`]: service(),
    [`${WANTS}/each@one.service`]: `-> /${UNITS}/each@.service`,
    [`${UNITS}/other.target`]: '[Unit]\n',
    [`${UNITS}/named.service`]: service('[Install]\nAlias=dbus-x.service\n'),
    'etc/systemd/system/dbus-x.service': `-> /${UNITS}/named.service`,
    'etc/systemd/system/masked.service': '-> /dev/null',
    [`${UNITS}/not-a-unit.txt`]: '',
  })
  t.match(units, {
    'linked.service': 'enabled',
    'forgotten.service': 'not enabled',
    'lost.service': 'nothing starts it',
    'timed.service': 'started by another unit',
    'timed.timer': 'enabled',
    'wanted.service': 'started by another unit',
    'each@.service': 'enabled',
    'other.target': 'nothing starts it',
    'named.service': 'enabled',
    'masked.service': 'masked',
  })
  t.notOk('not-a-unit.txt' in units)
  t.same(
    lines.filter((line) => line.startsWith('warning')).map((line) => line.split(':')[0]),
    ['warning unit-not-enabled', 'warning unit-unused'],
  )
})

t.test('a copy of a unit in the place of a link starts nothing', async (t) => {
  const { units, lines } = check(t, {
    ...PROGRAM,
    [`${UNITS}/app.service`]: service(INSTALL),
    [`${WANTS}/app.service`]: service(INSTALL),
    [`${WANTS}/masked.service`]: '',
    [`${UNITS}/b.socket.requires/c.service`]: service(),
  })
  t.same(units, { 'app.service': 'not enabled' })
  const copies = lines.filter((line) => line.startsWith('error'))
  t.equal(copies.length, 2)
  t.match(copies[0], /^error not-a-link: it is a file, and systemd takes only links here/)
})

t.test('the link that is missing is named', async (t) => {
  const hint = (install: string, directory = UNITS): string | undefined =>
    check(t, { ...PROGRAM, [`${directory}/a.service`]: service(install) }).lines.find((line) =>
      line.includes('unit-not-enabled'),
    )
  t.match(
    hint(INSTALL),
    /no such link: \/usr\/lib\/systemd\/system\/multi-user\.target\.wants\/a\.service -> \.\.\/a\.service$/,
  )
  t.match(
    hint('[Install]\nAlias=b.service\nRequiredBy=x.target y.target\n', 'etc/systemd/system'),
    /no such link: \/etc\/systemd\/system\/x\.target\.requires\/a\.service -> \.\.\/a\.service$/,
  )
  t.match(hint('[Install]\nAlias=b.service\n'), /no such link$/)
})

t.test('units that the root has, too', async (t) => {
  const root = { [`${UNITS}/ssh.service`]: service(), [`${UNITS}/cron.service`]: service() }
  const { lines } = check(
    t,
    {
      [`${UNITS}/ssh.service`]: service(),
      'etc/systemd/system/cron.service': '-> /dev/null',
      'etc/systemd/system/ssh.service.d/x.conf': '[Service]\nNice=1\n',
      'etc/systemd/system/cron.service.d/x.conf': '[Service]\nNice=1\n',
    },
    root,
  )
  t.match(lines, [
    "warning unit-masked: turns off the root's cron.service",
    'notice unit-of-the-root: the root has a unit of that name, too',
  ])
  const { lines: changed } = check(
    t,
    { 'etc/systemd/system/cron.service.d/x.conf': '[Service]\nNice=1\n' },
    root,
  )
  t.same(changed, ["notice drop-in: changes the root's cron.service"])
})

t.test('what a mask turns off', async (t) => {
  const etc = 'etc/systemd/system/cron.service'
  const said = (path: string, root: Tree | undefined, isWhole = false) =>
    check(t, { [path]: '-> /dev/null' }, root, { isWhole }).lines
  t.same(said(etc, {}), ['notice unit-masked: turns off cron.service'], 'a unit of the image only')
  t.same(said(etc, { [`${UNITS}/cron.service`]: '' }), [
    "warning unit-masked: turns off the root's cron.service",
  ])
  t.match(said(etc, { [etc]: '' }), [/turns off the root's cron.service where the image is above the root$/])
  t.same(said(`${UNITS}/cron.service`, { [etc]: '' }), [
    'notice unit-masked: turns off nothing: /etc/systemd/system/cron.service of the root counts',
  ])
  t.match(said(etc, undefined), [/turns off cron.service; the root's, too, where it has one$/])
  t.match(said(etc, undefined, true), [/turns off cron.service; it stays on where the root has it$/])
})

t.test('programs', async (t) => {
  const unit = (exec: string) => ({
    [`${UNITS}/a.service`]: `[Service]\n${exec}\n`,
    [`${WANTS}/a.service`]: '-> x',
  })
  const said = (
    exec: string,
    files: Tree = {},
    root: Tree | undefined = { 'usr/bin/ls*': 'x', bin: '-> usr/bin' },
  ) => check(t, { ...unit(exec), ...files }, root).lines.filter((line) => line.includes('program'))
  t.same(said('ExecStart=/usr/bin/app', PROGRAM), [])
  t.same(said('ExecStart=/usr/bin/app', { 'usr/bin/app': 'x' }), [
    'error program-not-executable: ExecStart=: /usr/bin/app is not executable (chmod +x)',
  ])
  t.same(said('ExecStart=/usr/bin/none'), [
    'error program-missing: ExecStart=: /usr/bin/none is neither in the image nor in the root',
  ])
  t.same(said('ExecStart=-/usr/bin/none'), [], 'one that may fail')
  t.same(said('ExecStartPre=!!/bin/ls -l'), [], "the root's, behind a link")
  t.same(said('ExecStart=ls'), [], 'where systemd looks')
  t.same(said('ExecStart="/usr/bin/ls" "a b"'), [])
  t.same(said('ExecStart=/usr/lib/%i\nExecStop=/bin/kill $MAINPID'), [
    'warning program-missing: ExecStop=: /bin/kill is neither in the image nor in the root',
  ])
  t.same(
    said('ExecReload=/bin/none\nExecStart=/bin/none').map((line) => line.split(':')[0]),
    ['error program-missing'],
    'what it starts with counts',
  )
  const idle = check(t, { [`${UNITS}/dnsmasq@.service`]: '[Service]\nExecStart=/usr/bin/none\n' }, {})
  t.match(idle.lines, [/^warning unit-unused/, /^notice program-missing/], 'nothing starts it')
  t.same(said('ExecStart=/opt/x', { 'opt/x': '-> /usr/bin/app', ...PROGRAM }), [], 'a link in the image')
  t.match(check(t, unit('ExecStart=/bin/sh')).lines, [
    /^notice/,
    /^notice program-elsewhere: .*the root must have it$/,
  ])
})

t.test('users', async (t) => {
  const unit = (user: string) => ({
    ...PROGRAM,
    [`${UNITS}/a.service`]: service(user),
    [`${WANTS}/a.service`]: '-> x',
  })
  const said = (user: string, users: string[] = []) =>
    check(t, unit(user), {}, { users }).lines.filter((line) => line.includes('unit-user'))
  t.same(said('User=app'), [
    'error unit-user: it runs as the user app, which neither the image nor the root has',
  ])
  t.same(said('User=app', ['app']), [])
  for (const user of ['User=root', 'User=app\nDynamicUser=yes', 'User=%i', 'User=0'])
    t.same(said(user), [], user)
})

t.test('what systemd-analyze says, and nothing about what it cannot see', async (t) => {
  const { lines } = check(
    t,
    {
      ...PROGRAM,
      [`${UNITS}/a.service`]: service(
        'Tpye=simple\n[Unit]\nRequires=nothere.service\nAfter=network.target\n',
      ),
      [`${WANTS}/a.service`]: '-> x',
      [`${UNITS}/b.timer`]: '[Timer]\nOnCalendar=never ever\n',
      [`${WANTS}/b.timer`]: '-> x',
      [`${UNITS}/a.service.d/10.conf`]: '[Service]\nNcie=1\n',
    },
    {},
  )
  const analyzed = lines.filter((line) => line.includes('systemd-analyze'))
  t.equal(analyzed.length, 4, analyzed.join('\n'))
  t.ok(
    analyzed.some((line) =>
      /^warning unit-syntax: line 3: systemd-analyze: Unknown key (?:name )?'Tpye'/.test(line),
    ),
  )
  t.ok(analyzed.some((line) => /Ncie/.test(line)))
  t.ok(analyzed.some((line) => /^error unit-refused: .*Refusing/.test(line)))
})

t.test('names and texts of any kind', async (t) => {
  const { lines } = check(t, {
    [`${UNITS}/-rf.service`]: service('X=\x1b[31m\n'),
    [`${UNITS}/a b.service`]: service(),
    [`${UNITS}/${'x'.repeat(200)}.service`]: service(),
    ...PROGRAM,
  })
  t.ok(lines.length >= 2)
  for (const line of lines) t.match(line, /^[ -~…]*$/)
})
