import { release } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GENERATORS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const INDEX = join(GENERATORS, 'index')
const MERGED = '/run/hostext/merged'

/** Tools that say how they were called, and write where the real ones do. */
const TOOLS: Tree = {
  depmod: `#!/bin/sh
echo "depmod $*" >>/run/calls
cat "$2"/usr/share/* >/run/seen
mkdir -p "$2/usr/lib/modules" && echo new >"$2/usr/lib/modules/modules.dep"
`,
  ldconfig: `#!/bin/sh
echo "ldconfig $*" >>/run/calls
mkdir -p "$2/var/cache/ldconfig" && echo new >"$2/var/cache/ldconfig/aux-cache"
echo new >"$2/etc/ld.so.cache"
`,
  'systemd-hwdb': `#!/bin/sh
echo "systemd-hwdb $*" >>/run/calls
`,
}
const FAILS = '#!/bin/sh\necho "$0" | sed s,.*/,, >>/run/calls\nexit 1\n'

/** The layers of a root with one extension, and what the units of the first pass have made. */
const LAYERS: Tree = {
  'hostext.decision': 'stacking\n',
  'hostext/0/usr/share/a': 'extension\n',
  'hostext/0/etc/a': '',
  'hostext/base/usr/share/b': 'root\n',
  'hostext/base/etc/ld.so.cache': 'old\n',
  'hostext/merged/x': '',
  'hostext/index/root/x': '',
  'hostext/index/etc/x': '',
  'hostext/index.work/root/x': '',
  'hostext/index.work/etc/x': '',
}
const STACKS = ['/=0:base', '/etc=0/etc:base/etc']

function index(
  t: Test,
  kinds: string,
  { files = {}, tools = {}, stacks = STACKS }: { files?: Tree; tools?: Tree; stacks?: string[] } = {},
) {
  const result = runPrivately(t, [INDEX, kinds, ...stacks], { ...LAYERS, ...files }, { ...TOOLS, ...tools })
  const { 'hostext.decision': decision, calls = '' } = result.run
  return { ...result, decision, calls: calls.split('\n').filter(Boolean) }
}

t.test('indexes', { skip: cannotMount }, async (t) => {
  t.test('each tool works on all layers, and what it writes is the uppermost layer', async (t) => {
    const { status, stderr, calls, run, decision, kernelLog } = index(t, 'hardware,libraries,modules')
    t.same(
      { status, stderr, kernelLog, decision },
      { status: 0, stderr: '', kernelLog: '', decision: 'stacking\n' },
    )
    t.same(calls, [
      `depmod -b ${MERGED} ${release()}`,
      `ldconfig -r ${MERGED}`,
      `systemd-hwdb --root=${MERGED} --usr update`,
    ])
    t.equal(run.seen, 'extension\nroot\n')
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

  t.test('an index of hardware in /etc is the one that is read, so it is the one that is made', async (t) => {
    const { calls } = index(t, 'hardware', { files: { 'hostext/base/etc/udev/hwdb.bin': '' } })
    t.same(calls, [`systemd-hwdb --root=${MERGED} update`])
  })

  t.test('a tool that fails is named, and the others run', async (t) => {
    for (const [tool, line] of [
      ['depmod', 'depmod failed: kernel modules of extensions may not be found'],
      [
        'ldconfig',
        'ldconfig failed: libraries of extensions outside the default directories may not be found',
      ],
      ['systemd-hwdb', 'systemd-hwdb failed: hardware data of extensions may not be found'],
    ] as const) {
      const result = index(t, 'hardware,libraries,modules', { tools: { [tool]: FAILS } })
      t.equal(result.status, 1)
      t.equal(result.decision, `stacking\nwarning: ${line}\n`)
      t.equal(result.kernelLog, `<4>hostext: ${line}\n`)
      t.same(
        result.calls.map((call) => call.split(' ')[0]),
        ['depmod', 'ldconfig', 'systemd-hwdb'],
      )
    }
  })

  t.test('layers that cannot be looked at: no tool runs on half of a root', async (t) => {
    const { status, calls, decision } = index(t, 'modules', { stacks: ['/=0:base', '/etc=nowhere:base/etc'] })
    t.equal(status, 1)
    t.same(calls, [])
    t.equal(
      decision,
      'stacking\nwarning: the indexes were not rebuilt: the files of the extensions could not be looked at together\n',
    )
  })
})
