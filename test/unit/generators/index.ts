import { release } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const INDEX = join(STEPS, 'index')

/**
 * Tools that say how they were called, and write where the real ones do: in the root that they are run in.
 */
const TOOLS: Tree = {
  depmod: `#!/bin/sh
echo "depmod $*" >>/calls
cat /usr/share/hostext-test/* >/seen
mkdir -p /usr/lib/modules && echo new >/usr/lib/modules/modules.dep
`,
  ldconfig: `#!/bin/sh
echo "ldconfig $*" >>/calls
mkdir -p /var/cache/ldconfig && echo new >/var/cache/ldconfig/aux-cache
echo new >/etc/ld.so.cache
`,
  'systemd-hwdb': `#!/bin/sh
[ -d /proc/self/fd ] || exit 1
echo "systemd-hwdb $*" >>/calls
`,
}
const FAILS = '#!/bin/sh\necho "$0" | sed s,.*/,, >>/calls\nexit 1\n'

/** The layers of a root with one extension, and what the units of the first pass have made. */
const LAYERS: Tree = {
  'hostext.decision': 'stacking\n',
  'hostext/0/usr/share/hostext-test/a': 'extension\n',
  'hostext/0/etc/a': '',
  'hostext/base/usr/share/hostext-test/b': 'root\n',
  'hostext/base/etc/ld.so.cache': 'old\n',
  'hostext/merged/x': '',
  'hostext/index/root/x': '',
  'hostext/index/etc/x': '',
  'hostext/index.work/root/x': '',
  'hostext/index.work/etc/x': '',
}
/** Under all of it the root of this machine, for the shell that the tools run in. */
const STACKS = ['/=0:base:/', '/etc=0/etc:base/etc']

function index(
  t: Test,
  kinds: string,
  { files = {}, tools = TOOLS, stacks = STACKS }: { files?: Tree; tools?: Tree; stacks?: string[] } = {},
) {
  const inBase = Object.entries(tools).map(([name, text]) => [`hostext/base/usr/sbin/${name}*`, text])
  const all = { ...LAYERS, ...Object.fromEntries(inBase), ...files }
  const result = runPrivately(t, [INDEX, kinds, ...stacks], all, {})
  const { 'hostext.decision': decision, 'hostext/index/root/calls': calls = '' } = result.run
  return { ...result, decision, calls: calls.split('\n').filter(Boolean) }
}

t.test('indexes', { skip: cannotMount }, async (t) => {
  t.test('each tool works on all layers, and what it writes is the uppermost layer', async (t) => {
    const { status, stderr, calls, run, decision, kernelLog } = index(t, 'hardware,libraries,modules')
    t.same(
      { status, stderr, kernelLog, decision, log: run['hostext/index.log'] },
      { status: 0, stderr: '', kernelLog: '', decision: 'stacking\n', log: '' },
    )
    t.same(calls, [`depmod ${release()}`, 'ldconfig -X', 'systemd-hwdb --usr update'])
    t.equal(run['hostext/index/root/seen'], 'extension\nroot\n')
    t.equal(run['hostext/index/root/usr/lib/modules/modules.dep'], 'new\n')
    t.equal(run['hostext/index/etc/ld.so.cache'], 'new\n', 'that of /etc is a layer of /etc')
    t.equal(run['hostext/base/etc/ld.so.cache'], 'old\n', 'the root keeps its own')
    t.notOk(
      Object.keys(run).some((path) => path.startsWith('hostext/index/root/var')),
      'what a tool remembers for itself hides nothing of /var',
    )
  })

  t.test('only what is asked for', async (t) => {
    for (const [kind, tool] of [
      ['modules', 'depmod'],
      ['libraries', 'ldconfig'],
      ['hardware', 'systemd-hwdb'],
    ] as const) {
      const { calls } = index(t, kind)
      t.match(calls, [new RegExp(`^${tool} `)])
      t.equal(calls.length, 1, kind)
    }
  })

  t.test('libraries with which the root cannot run what it needs are not found', async (t) => {
    const mount = '#!/bin/sh\nread -r cache </etc/ld.so.cache && [ "$cache" != new ]\n'
    const ldconfig = `#!/bin/sh
echo "ldconfig $*" >>/calls
case "$*" in *-f*) echo default ;; *) echo new ;; esac >/etc/ld.so.cache
`
    const { status, calls, run, decision } = index(t, 'libraries', { tools: { mount, ldconfig } })
    t.equal(status, 1)
    t.same(calls, ['ldconfig -X', 'ldconfig -X -f /run/hostext/none'])
    t.equal(run['hostext/index/etc/ld.so.cache'], 'default\n')
    t.match(decision, /^stacking\nwarning: the root cannot run mount\b.* with the libraries of extensions: /)
    const broken = '#!/bin/sh\nexit 1\n'
    t.equal(index(t, 'libraries', { tools: { ...TOOLS, mount: broken } }).status, 0, 'it never ran')
  })

  t.test('an index of hardware in /etc is the one that is read, so it is the one that is made', async (t) => {
    const { calls } = index(t, 'hardware', { files: { 'hostext/base/etc/udev/hwdb.bin': '' } })
    t.same(calls, ['systemd-hwdb update'])
  })

  t.test('a tool that fails is named, and the others run', async (t) => {
    for (const [tool, line] of [
      ['depmod', 'depmod failed: kernel modules of extensions may not be found; see /run/hostext/index.log'],
      [
        'ldconfig',
        'ldconfig failed: libraries of extensions outside the default directories may not be found; see /run/hostext/index.log',
      ],
      [
        'systemd-hwdb',
        'systemd-hwdb failed: hardware data of extensions may not be found; see /run/hostext/index.log',
      ],
    ] as const) {
      const result = index(t, 'hardware,libraries,modules', { tools: { ...TOOLS, [tool]: FAILS } })
      t.equal(result.status, 1)
      t.equal(result.decision, `stacking\nwarning: ${line}\n`)
      t.equal(result.kernelLog, `<4>hostext: ${line}\n`)
      t.same(
        result.calls.map((call) => call.split(' ')[0]),
        ['depmod', 'ldconfig', 'systemd-hwdb'],
      )
    }
  })

  t.test(
    'what a tool says of the files of images is for its own log: readable, and no more than a screenful of screens',
    async (t) => {
      const says = `#!/bin/sh
printf '\\033]0;title\\007\\302\\233\\r is a file\\n' >&2
yes 'a file with a name' | head -n 100000 >&2
echo unheard
exit 3
`
      const { status, stderr, run, kernelLog, decision } = index(t, 'modules', { tools: { depmod: says } })
      t.equal(status, 1)
      t.equal(stderr, '')
      const log = run['hostext/index.log'] as string
      t.match(log, /^\?\]0;title\?\?\?\? is a file\na file with a name\n/)
      t.notMatch(log, /[^\n -~]/)
      t.notMatch(log, /unheard/)
      t.equal(log.length, 65536)
      for (const text of [kernelLog, decision as string]) t.notMatch(text, /title|a file with/)
    },
  )

  t.test('indexes of a root without one of its layers are not kept', async (t) => {
    t.ok('hostext/index.made' in index(t, 'modules').run)
    const { status, run } = index(t, 'modules', { files: { 'hostext/missing': '0\n' } })
    t.equal(status, 0, 'this boot has them')
    t.notOk('hostext/index.made' in run)
  })

  t.test('what takes too long is named', async (t) => {
    const depmod = '#!/bin/sh\nexec sleep 60\n'
    const script = 'timeout 2 "$@"; [ $? = 124 ]'
    const files = { ...LAYERS, 'hostext/base/usr/sbin/depmod*': depmod }
    const words = ['sh', '-c', script, 'sh', INDEX, 'modules', ...STACKS]
    const { run } = runPrivately(t, words, files, {})
    const why = 'the indexes were not rebuilt in time: what extensions need of them may not be found'
    t.equal(run['hostext.decision'], `stacking\nwarning: ${why}\n`)
    t.notOk('hostext/index.made' in run)
  })

  t.test('layers that cannot be looked at: no tool runs on half of a root', async (t) => {
    const { status, calls, decision } = index(t, 'modules', {
      stacks: ['/=0:base:/', '/etc=nowhere:base/etc'],
    })
    t.equal(status, 1)
    t.same(calls, [])
    t.equal(
      decision,
      'stacking\nwarning: the indexes were not rebuilt: the overlay of all extensions could not be mounted\n',
    )
  })

  /**
   * What is on the machine, and would be written to by whoever follows an absolute link of an image there.
   */
  const OUTSIDE: Tree = {
    'outside/modules/x': 'outside\n',
    'outside/etc/x': 'outside\n',
    'outside/udev/x': 'outside\n',
  }
  /** Where the same links lead in the new root. */
  const INSIDE: Tree = {
    'hostext/0/run/outside/modules/kernel/hostext-test.ko': '',
    'hostext/0/run/outside/etc/x': '',
    'hostext/0/run/outside/udev/x': '',
  }
  const isOutside = (path: string): boolean => path.startsWith('outside/')

  t.test('an absolute link leads depmod into the new root', async (t) => {
    const link = { [`hostext/0/usr/lib/modules/${release()}`]: '-> /run/outside/modules' }
    const { run, status, stderr } = index(t, 'modules', {
      files: { ...OUTSIDE, ...INSIDE, ...link },
      tools: {},
    })
    t.same(Object.keys(run).filter(isOutside), Object.keys(OUTSIDE).sort(), 'nothing is written outside')
    t.ok('hostext/index/root/run/outside/modules/modules.dep' in run)
    t.equal(status, 0, stderr)
  })

  t.test('an absolute link leads ldconfig into the new root', async (t) => {
    const { 'hostext/0/etc/a': _, ...layers } = LAYERS
    const files = { ...layers, ...OUTSIDE, ...INSIDE, 'hostext/0/etc': '-> /run/outside/etc' }
    const { run, status, stderr } = runPrivately(t, [INDEX, 'libraries', '/=0:/'], files, {})
    t.same(Object.keys(run).filter(isOutside), Object.keys(OUTSIDE).sort(), 'nothing is written outside')
    t.ok('hostext/index/root/run/outside/etc/ld.so.cache' in run)
    t.equal(status, 0, stderr)
  })

  t.test('an absolute link leads systemd-hwdb into the new root', async (t) => {
    // As the real one of systemd 252, which opens its directories below --root= as they are.
    const hwdb = `#!/bin/sh
root=
for word; do case $word in --root=*) root=\${word#--root=} ;; esac; done
echo new >"$root/usr/lib/udev/hwdb.bin"
`
    const files = { ...OUTSIDE, ...INSIDE, 'hostext/0/usr/lib/udev': '-> /run/outside/udev' }
    const { run, status, stderr } = index(t, 'hardware', { files, tools: { 'systemd-hwdb': hwdb } })
    t.same(Object.keys(run).filter(isOutside), Object.keys(OUTSIDE).sort(), 'nothing is written outside')
    t.equal(run['hostext/index/root/run/outside/udev/hwdb.bin'], 'new\n')
    t.equal(status, 0, stderr)
  })
})
