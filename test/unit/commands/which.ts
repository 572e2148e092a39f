import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { showWhich } from '../../../src/commands/which.js'
import { runningCase } from '../../support/running.js'

t.test('who provides a file, and what is below', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  mkdirSync(join(root, 'usr/share/base'), { recursive: true })
  writeFileSync(join(root, 'usr/share/base/replaced'), '')
  symlinkSync('usr/share', join(root, 'share'))
  const which = (path: string) => showWhich(call([path]))
  t.match(which('/usr/share/base/replaced'), {
    status: 0,
    document: {
      mount: null,
      providers: [
        { layer: 'extension', name: 'override', kind: 'file', seen: true },
        { layer: 'base', name: null, kind: 'file', seen: false },
      ],
    },
  })
  t.match(which('/usr/share/base/replaced').lines[1], /^\* {2}file +override \(override:1, /)
  t.match(which('/share/base/replaced').lines[0], '/share/base/replaced is /usr/share/base/replaced')
  t.match(which('/usr/share').document.providers, [
    { name: 'override', kind: 'directory', seen: true },
    { name: 'many-layers', seen: true },
    { name: 'one-layer', seen: true },
    { layer: 'base', seen: true },
    { name: 'additive', seen: true },
  ])
  t.match(which('/usr/nothing'), { status: 1, lines: ['nobody has /usr/nothing'] })
  t.match(which('/usr/share/base/replaced/below'), { status: 1 })
  t.throws(() => which('usr/share'), /PATH is absolute/)
})

t.test('links in a circle, and what is mounted there', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  symlinkSync('/loop', join(root, 'loop'))
  t.throws(() => showWhich(call(['/loop/x'])), /^\/loop\/x: too many levels of symbolic links$/)
  const line = '30 22 0:5 / /srv/data rw - tmpfs tmpfs rw\n'
  writeFileSync(join(root, 'proc/self/mountinfo'), `22 1 254:1 / / ro - ext4 /dev/vda rw\n${line}`)
  t.match(showWhich(call(['/srv/data/x'])), {
    status: 0,
    document: { mount: { mountPoint: '/srv/data', type: 'tmpfs' } },
    lines: ['/srv/data/x is on /srv/data (tmpfs): no extension shows there', 'nobody has /srv/data/x'],
  })
})

t.test('a link of an image leads nowhere else', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  // A way out of the root, for whoever follows links with the kernel.
  symlinkSync('/etc', join(root, 'usr/out'))
  t.match(showWhich(call(['/usr/out/passwd'])), { document: { path: '/etc/passwd' } })
})
