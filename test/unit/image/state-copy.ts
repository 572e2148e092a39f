import t from 'tap'
import { stateLines } from '../../../src/image/state-copy.js'

/** What systemd-tmpfiles makes of such a file is in prepare.ts. */

const lines = (...state: { path: string; link?: string }[]) => stateLines(state).split('\n').slice(1, -1)

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
