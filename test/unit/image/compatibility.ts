import t from 'tap'
import { type Host, hostOf, judgeFit } from '../../../src/image/compatibility.js'
import { readMachine } from '../../../src/machine/machine.js'
import { makeTree, type Tree } from '../../support/tree.js'

const host: Host = {
  kernel: { release: '6.1.0-13-amd64', abi: 'abi-1' },
  versionId: '2.98.4+rev1',
  takesStarted: false,
  skipsForeign: false,
}
const ABI = 'io.balena.image.kernel-abi-id'
/** The kernel of an image without modules is never asked for. */
const NO_MODULES = { modules: false, kernel: () => t.fail('its kernel was looked for') as never }

/** Why an image with this label does not fit; undefined if it does, and nothing is odd about it. */
function check(label: string, value: string, change: Partial<Host> = {}, carried = NO_MODULES) {
  const fit = judgeFit(new Map([[`io.balena.image.${label}`, value]]), carried, { ...host, ...change })
  if ('unfit' in fit) return fit.unfit
  return fit.warnings.length > 0 ? `warning: ${fit.warnings.join('; ')}` : undefined
}

t.test('an image without labels fits everywhere', async (t) => {
  const bare = { ...host, kernel: undefined, versionId: undefined }
  t.same(judgeFit(new Map(), { ...NO_MODULES, modules: true }, bare), { warnings: [] })
})

t.test('kernel-version is the running release up to its first -', async (t) => {
  t.equal(check('kernel-version', '6.1.0'), undefined)
  const running = (release: string) => ({ kernel: { release, abi: undefined } })
  t.equal(check('kernel-version', '6.12.41+deb13', running('6.12.41+deb13-cloud-amd64')), undefined)
  t.equal(check('kernel-version', '6.1.0', running('6.1.0')), undefined)
  t.equal(check('kernel-version', '6.1.0', { kernel: undefined }), undefined, 'nobody knows which will run')
  t.equal(check('kernel-version', ''), undefined, 'an empty one asks for nothing')
  for (const other of ['6.1', '6.1.0-13-amd64', '6.1.00', ' ', '6.2.0'])
    t.equal(check('kernel-version', other), `it is for kernel ${other}, but 6.1.0 is running`)
})

t.test(
  'modules, where the boot loader says which kernel is running: the image’s own kernel tells',
  async (t) => {
    const ask = (label: string | undefined, kernel: boolean) => {
      const asked: string[] = []
      const carried = { modules: true, kernel: (id: string) => asked.push(id) > 0 && kernel }
      const fit = judgeFit(new Map(label === undefined ? [] : [[ABI, label]]), carried, host)
      t.same(asked, ['abi-1'])
      return 'unfit' in fit ? fit.unfit : fit.warnings.join('; ')
    }
    const unfit =
      'its modules are for another kernel: no file in its /boot has the sha256 given by balena_kernel_abi=abi-1'
    for (const label of [undefined, '', 'abi-1', 'abi-2'])
      t.equal(ask(label, false), unfit, `the label does not help: ${label}`)
    const odd = `its kernel matches balena_kernel_abi=abi-1, but ${ABI}`
    t.equal(ask('abi-1', true), '')
    t.equal(ask('abi-2', true), `${odd} is abi-2`)
    t.equal(ask('a\nb', true), `${odd} is a\\x0ab`)
    t.equal(ask('', true), `${odd} is missing`)
    t.equal(ask(undefined, true), `${odd} is missing`)
    t.equal(check('kernel-abi-id', 'abi-2'), undefined, 'no modules')
  },
)

t.test('modules, on every other system: a label is for a machine that has the word', async (t) => {
  const carried = { ...NO_MODULES, modules: true }
  const other = { kernel: { release: '6.1.0', abi: undefined } }
  t.equal(
    check('kernel-abi-id', 'abi-1', other, carried),
    'its modules are for kernel ABI abi-1, but the kernel command line has no balena_kernel_abi=',
  )
  t.equal(check('kernel-abi-id', '', other, carried), undefined)
  t.equal(check('another', 'x', other, carried), undefined)
  t.equal(check('kernel-abi-id', 'abi-1', other), undefined, 'no modules')
  t.equal(
    check('kernel-abi-id', 'abi-1', { kernel: undefined }, carried),
    undefined,
    'the kernel is not known',
  )
})

t.test('os-version is a list of globs', async (t) => {
  for (const globs of [
    '2.98.4+rev1',
    '*',
    '2.*',
    '2.9?.*',
    '1.*,2.*',
    '3.*, 2.98*',
    '2.[89]8.[!0]*',
    '',
    ' ',
  ])
    t.equal(check('os-version', globs), undefined, globs)
  for (const globs of ['2.98', '2.98.4', '3.*', '2.98.4+rev1x', '1.*,3.*', '2.[!9]*', '!3,4', '{2.*},3.*'])
    t.equal(check('os-version', globs), `it is for OS version ${globs}, but this is 2.98.4+rev1`, globs)
})

t.test('os-version on a system without VERSION_ID', async (t) => {
  const bare = { versionId: undefined }
  t.equal(check('os-version', '*', bare), undefined)
  t.equal(check('os-version', '1.*, *', bare), undefined)
  for (const globs of ['1*', '**', '?*'])
    t.equal(
      check('os-version', globs, bare),
      `it is for OS version ${globs}, but os-release has no VERSION_ID`,
    )
})

t.test('a list without a pattern that can be read counts as none', async (t) => {
  for (const globs of ['!3', ',', '{1,2}', '@(1|2)', '1\n*', 'x'.repeat(65)])
    t.equal(
      check('os-version', globs),
      `warning: io.balena.image.os-version=${globs.replace('\n', '\\x0a')} has no valid pattern: the label is ignored`,
    )
})

t.test('what is made to take long takes no time', async (t) => {
  const change = { versionId: `${'1'.repeat(60)}!` }
  const started = process.cpuUsage()
  for (const globs of [
    '+(+(1))*',
    `${'*1'.repeat(9)}*`,
    `${'*1'.repeat(8)}`,
    '?*'.repeat(8),
    '[1-9]*'.repeat(8),
  ])
    check('os-version', globs, change)
  const most = Array(40).fill('*1*1*1*1*1*1*1*').join(',')
  for (let count = 0; count < 100; count++) check('os-version', most, change)
  const glob = '1*1*1*1,'
  t.equal(
    check('os-version', glob.repeat(450_000), change),
    'io.balena.image.os-version has 3600000 characters, more than 1024',
  )
  t.match(check('os-version', ' '.repeat(2000)), undefined)
  t.match(check('kernel-version', 'x'.repeat(1 << 22)), /^it is for kernel x{80}…, but/)
  const { user, system } = process.cpuUsage(started)
  t.ok((user + system) / 1000 < 5000, `${(user + system) / 1000} ms`)
  t.notMatch(check('os-version', 'a\nb,1'), /\n/)
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
