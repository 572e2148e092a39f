import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const MADE =
  'echo "stacking 1 host extension over the root: a" >/run/hostext.decision; mkdir -p /run/hostext/locked'
const ALONE =
  'ExecStart=/usr/lib/hostext/stack all - - - /usr/lib/hostext/switch soft-reboot /run/nextroot / /usr'
const unit = (more = '', command = ALONE): string =>
  `[Unit]\n${more}\n[Service]\n${command}\nExecStart=/refused\n`

/** The stub decides with a unit of this text. */
const deciding = (text: string): string =>
  `#!/bin/sh\n[ -e /run/hostext/asked ] || exit 1\n${MADE}\nprintf '%s' '${text}' >"$1/hostext-switch.service"\n`

/**
 * Runs the script with the stub and the other scripts in the place of the system's /usr/lib, as it runs with
 * the root as its root directory; `undo` follows if it says nothing, as in the initrd.
 */
function inRoot(t: Test, stub: string, more: Tree = {}, scripts: Tree = {}) {
  const own: Tree = {
    stack:
      '#!/bin/sh\necho "stack $*" >>/run/calls\nmkdir -p /run/nextroot\nmount --bind /run/base /run/nextroot\n',
    switch: '#!/bin/sh\necho "switch $*" >>/run/calls\n',
    ...scripts,
  }
  const files: Tree = {
    'base/file': 'base\n',
    'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
    'lib/systemd/system-generators/hostext-generator': stub,
    ...Object.fromEntries(Object.entries(own).map(([name, text]) => [`lib/hostext/${name}`, text])),
    ...more,
  }
  const script = `set -e
chmod +x /run/lib/systemd/system-generators/hostext-generator /run/lib/hostext/*
cp "$1/initrd" "$1/log.sh" /run/lib/hostext
mount -t overlay overlay -o ro,lowerdir=/run/lib:/usr/lib /usr/lib
mount -t overlay overlay -o ro,lowerdir=/run/etc:/etc /etc
new=$(/usr/lib/hostext/initrd in) || true
echo "$new" >/run/new
[ -n "$new" ] || /usr/lib/hostext/initrd undo
findmnt -rno TARGET | grep -E '^(/run/|/usr/lib/hostext/)' >/run/mounted || true
umount -l /usr/lib /etc`
  const { status, stderr, run, kernelLog } = runPrivately(t, ['sh', '-c', script, 'sh', STEPS], files, {})
  t.equal(status, 0, stderr)
  return { run, kernelLog }
}

t.test('initrd', { skip: cannotMount }, async (t) => {
  t.test('a known boot is mounted, and all but the switch is done', async (t) => {
    const { run, kernelLog } = inRoot(t, deciding(unit()))
    t.equal(run.calls, 'stack all - - -\nswitch initrd /run/nextroot / /usr\n')
    t.equal(run.new, '/run/nextroot\n')
    t.match(run.mounted, '/run/nextroot')
    t.match(kernelLog, /^<5>hostext: stacking 1 host extension over the root: a$/m)
    t.match(kernelLog, /^<5>hostext: stacked in the initrd$/m)
    t.notOk('hostext/asked' in run)
    t.notOk('systemd/generator/hostext-switch.service' in run, 'PID 1 starts with empty directories')
  })

  t.test('a first boot is left to PID 1', async (t) => {
    const on = (id: string): string | undefined =>
      inRoot(t, deciding(unit()), { 'etc/machine-id': id }).run.new
    t.equal(on('uninitialized\n'), '\n')
    t.equal(on(''), '/run/nextroot\n', 'machine-id(5): an empty one is none')
  })

  t.test('a systemd in the initrd keeps its units', async (t) => {
    const own: Tree = {
      'systemd/generator/sysroot.mount': 'its own\n',
      'systemd/generator.early/other.service': 'its own\n',
    }
    for (const stub of [deciding(unit()), '#!/bin/sh\ntrue\n']) {
      const { run } = inRoot(t, stub, own)
      for (const [path, text] of Object.entries(own)) t.equal(run[path], text, path)
      t.notOk('systemd/generator/hostext-switch.service' in run)
      t.notOk(Object.keys(run).some((path) => path.includes('.initrd/')))
    }
  })

  t.test('it keeps them, too, if the root cannot be asked at all', async (t) => {
    const own: Tree = { 'systemd/generator/sysroot.mount': 'its own\n' }
    const { status, run } = runPrivately(t, ['sh', '-c', '"$0/initrd" undo', STEPS], own, {})
    t.equal(status, 0)
    t.equal(run['systemd/generator/sysroot.mount'], 'its own\n')
  })

  t.test('what the switch needs first', async (t) => {
    const fsck = unit('Wants=systemd-fsck-root.service')
    t.equal(inRoot(t, deciding(fsck)).run.new, '\n', 'the disk was not checked')
    t.equal(inRoot(t, deciding(fsck), { 'initramfs/fsck-root': '' }).run.new, '/run/nextroot\n')
    const index = (what: string): string =>
      `${deciding(unit('Wants=run-hostext-index.mount'))}mkdir /run/hostext/index; cat >"$1/run-hostext-index.mount" <<-'EOF'
[Mount]
What=${what}
Where=/run/hostext/index
Type=none
Options=bind,ro
WorkingDirectory=/run
EOF
`
    const { run } = inRoot(t, index('/run/base'))
    t.equal(run.new, '/run/nextroot\n')
    t.match(run.mounted, '/run/hostext/index')
    const missing = inRoot(t, index('/run/none'))
    t.equal(missing.run.new, '\n')
    t.match(missing.kernelLog, 'not stacked in the initrd, but later: run-hostext-index.mount did not mount')
    t.equal(inRoot(t, index('/run/"base')).run.new, '\n', 'quotes, which systemd reads in its own way')
  })

  const failing = '#!/bin/sh\nexit 1\n'
  const mounting = '#!/bin/sh\nmkdir -p /run/nextroot /run/hostext/0\nmount --bind /run/base /run/hostext/0\n'
  const cases: [what: string, stub: string, scripts?: Tree][] = [
    ['the boot is not known', '#!/bin/sh\ntrue >/run/hostext.saw\n'],
    ['it is plain', '#!/bin/sh\necho "plain root: x" >/run/hostext.decision\n'],
    ['the stub fails', failing],
    [
      'something is built or recorded',
      deciding(unit('', 'ExecStart=/usr/lib/hostext/switch soft-reboot /run/nextroot')),
    ],
    ['another unit comes first', deciding(unit('Wants=hostext-index.service'))],
    ['a path with a quote', deciding(unit('', ALONE.replace('- - -', '"/a b" - -')))],
    ['the mounts fail', deciding(unit()), { stack: `${mounting}exit 1\n` }],
    ['a layer is missing', deciding(unit()), { stack: `${mounting}echo 0 >/run/hostext/missing\n` }],
    ['the switch is refused', deciding(unit()), { switch: failing }],
  ]
  for (const [what, stub, scripts] of cases)
    t.test(`nothing is changed if ${what}`, async (t) => {
      const { run } = inRoot(t, stub, {}, scripts)
      t.equal(run.new, '\n')
      t.equal(run.mounted, '', 'nothing stays mounted')
      t.notOk('hostext.decision' in run, 'PID 1 has everything to decide')
      t.notOk(
        Object.keys(run).some((path) => path.startsWith('hostext/') || path.startsWith('systemd/generator/')),
      )
      t.equal(run['base/file'], 'base\n', 'what was mounted is not removed')
    })
})
