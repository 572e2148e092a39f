import t from 'tap'
import { findUnsafe, type StateEntry, stateLines } from '../../../src/image/state-copy.js'

/** What systemd-tmpfiles makes of such a file is in prepare.ts. */

const lines = (...state: StateEntry[]) => stateLines(state).split('\n').slice(1, -1)

t.test('a line for everything', async (t) => {
  t.equal(stateLines([]), '', 'no file where there is nothing to copy')
  t.match(stateLines([{ path: '/srv/x' }]), /^# Made by hostext: .*\nC \/srv\/x\n$/)
  t.same(lines({ path: '/var/lib/app' }, { path: '/var/lib/app/x' }, { path: '/var/l', link: '../run/l' }), [
    'C /var/lib/app',
    'C /var/lib/app/x',
    'L /var/l - - - - ../run/l',
  ])
})

t.test('specifiers and quotes', async (t) => {
  t.same(
    lines(
      { path: '/var/100%' },
      { path: '/var/a b' },
      { path: '/var/"q"\\' },
      { path: "/var/'" },
      { path: '/var/#' },
    ),
    ['C /var/100%%', 'C "/var/a b"', 'C "/var/\\"q\\"\\\\"', 'C "/var/\'"', 'C "/var/#"'],
  )
  t.same(lines({ path: '/var/l', link: 'a "b" %h\\' }), ['L /var/l - - - - a "b" %%h\\\\'])
})

t.test('what no line can say', async (t) => {
  t.same(
    lines(
      ...['/var/a\nf /etc/x - - - - x', '/var/\u0000', '/var/\u007f', '/var/\r'].map((path) => ({ path })),
      ...[' x', 'x ', 'x\nd /etc/y', 'x\u00a0'].map((link) => ({ path: '/var/l', link })),
      { path: '/var/ж' },
    ),
    ['C "/var/ж"'],
  )
})

t.test('below a directory in one of another owner, systemd-tmpfiles does nothing', async (t) => {
  const directory = (path: string, uid: number): StateEntry => ({ path, directory: { uid } })
  const state = [
    directory('/home/app', 1000),
    directory('/home/app/conf', 0),
    { path: '/home/app/conf/a' },
    directory('/home/app/conf/deeper', 1000),
    { path: '/home/app/conf/deeper/l', link: 'x' },
    directory('/home/app/config', 1000),
    { path: '/home/app/config/b' },
    directory('/srv/app', 1000),
  ]
  t.same(findUnsafe(state), ['/home/app/conf'])
  t.same(lines(...state), [
    'C /home/app',
    'C /home/app/conf',
    'C /home/app/config',
    'C /home/app/config/b',
    'C /srv/app',
  ])
})
