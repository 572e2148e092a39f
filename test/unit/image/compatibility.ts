import t from 'tap'
import { findIncompatibility, type Host, hostOf } from '../../../src/image/compatibility.js'
import { readMachine } from '../../../src/machine/machine.js'
import { makeTree, type Tree } from '../../support/tree.js'

const host: Host = {
  release: '6.1.0-13-amd64',
  kernelAbi: 'abi-1',
  versionId: '2.98.4+rev1',
  takesStarted: false,
}
const check = (label: string, value: string, modules = false, change: Partial<Host> = {}) =>
  findIncompatibility(new Map([[`io.balena.image.${label}`, value]]), modules, { ...host, ...change })

t.test('an image without labels fits everywhere', async (t) => {
  t.equal(
    findIncompatibility(new Map(), true, {
      ...host,
      release: '',
      kernelAbi: undefined,
      versionId: undefined,
    }),
    undefined,
  )
})

t.test('kernel-version is the running release up to its first -', async (t) => {
  t.equal(check('kernel-version', '6.1.0'), undefined)
  t.equal(
    check('kernel-version', '6.12.41+deb13', false, { release: '6.12.41+deb13-cloud-amd64' }),
    undefined,
  )
  t.equal(check('kernel-version', '6.1.0', false, { release: '6.1.0' }), undefined)
  for (const other of ['6.1', '6.1.0-13-amd64', '6.1.00', '', '6.2.0'])
    t.equal(check('kernel-version', other), `it is for kernel ${other}, and 6.1.0 is running`)
})

t.test('kernel-abi-id counts for an image with modules of this kernel', async (t) => {
  t.equal(check('kernel-abi-id', 'abi-1', true), undefined)
  t.equal(check('kernel-abi-id', 'abi-2', false), undefined, 'no modules')
  t.equal(
    check('kernel-abi-id', 'abi-2', true),
    'its modules are for kernel ABI abi-2, and the kernel command line has balena_kernel_abi=abi-1',
  )
  t.equal(
    check('kernel-abi-id', 'abi-1', true, { kernelAbi: undefined }),
    'its modules are for kernel ABI abi-1, and the kernel command line has no balena_kernel_abi=',
  )
})

t.test('os-version is a list of globs', async (t) => {
  for (const globs of ['2.98.4+rev1', '*', '2.*', '2.9?.*', '1.*,2.*', '3.*, 2.98*', '2.[89]8.[!0]*'])
    t.equal(check('os-version', globs), undefined, globs)
  for (const globs of ['2.98', '2.98.4', '3.*', '', '2.98.4+rev1x', '1.*,3.*', '2.[!9]*', '!3'])
    t.equal(check('os-version', globs), `it is for OS version ${globs}, and this is 2.98.4+rev1`, globs)
  t.equal(
    check('os-version', '*', false, { versionId: undefined }),
    'it is for OS version *, and os-release has no VERSION_ID',
  )
})

t.test('a hostile pattern takes no time and matches nothing', async (t) => {
  const versionId = `${'1'.repeat(20)}!`
  for (const globs of ['+(+(1))*', '{1,2}*', `${'*1'.repeat(9)}*`, `${'1'.repeat(65)}`, '@(1|*)', '1\n*'])
    t.match(check('os-version', globs, false, { versionId }), /^it is for OS version /, globs)
  t.notMatch(check('os-version', 'a\nb'), /\n/)
  t.notOk(check('kernel-version', 'a\u001b[2J')?.includes('\u001b'))
})

t.test('whether containers that have been started count', async (t) => {
  const takesStarted = (files: Tree) => {
    const root = { prefix: makeTree(t, files) }
    return hostOf(readMachine(root, {})).takesStarted
  }
  const balena = { 'etc/os-release': 'ID="balena-os"\n' }
  const setting = (value: string) => ({ 'etc/hostext.conf': `[Stack]\nStarted=${value}\n` })
  t.equal(takesStarted({}), false)
  t.equal(takesStarted({ 'etc/os-release': 'ID=debian\nID_LIKE=balena-os\n' }), false)
  t.equal(takesStarted(balena), true, 'its supervisor starts them')
  t.equal(takesStarted({ ...balena, ...setting('no') }), false)
  t.equal(takesStarted(setting('yes')), true)
  t.equal(takesStarted(setting('auto')), false)
})
