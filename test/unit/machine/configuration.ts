import t from 'tap'
import { directoryPath, readConfiguration } from '../../../src/machine/configuration.js'
import { makeTree } from '../../support/tree.js'

const DEFAULTS = {
  dataRoot: undefined,
  started: 'auto',
  skip: [],
  state: 'auto',
  etc: 'auto',
  timeout: 60,
  container: false,
  attempts: 2,
  settle: 30,
  trialTimeout: 600,
  essential: [],
  foreignSystem: 'warn',
  failedUnits: 'warn',
}

t.test('nothing configured', async (t) => {
  t.same(readConfiguration({ prefix: makeTree(t) }), { configuration: DEFAULTS, messages: [] })
})

t.test('values', async (t) => {
  for (const [text, expected] of [
    ['[Engine]\nDataRoot=/data/docker', { dataRoot: '/data/docker' }],
    ['[Engine]\nDataRoot = /data//docker/', { dataRoot: '/data/docker' }],
    ['[Engine]\nDataRoot=/a#b;c', { dataRoot: '/a#b;c' }],
    ['[Engine]\nDataRoot=/data\nDataRoot=', {}],
    ['[Root]\nState=none', { state: [] }],
    ['[Safety]\nForeignSystem=skip', { foreignSystem: 'skip' }],
    ['[Safety]\nForeignSystem=skip\nForeignSystem=', {}],
    ['[Root]\nState=/var /srv/x\t/var/', { state: ['/srv/x', '/var'] }],
    ['[Root]\nState=/var \\\n  # between\n  /home', { state: ['/home', '/var'] }],
    ['[Root]\nState=/var\nState=auto', {}],
    ['[Root]\nEtc=read-only', { etc: 'read-only' }],
    ['[Root]\nEtc=volatile', { etc: 'volatile' }],
    ['[Root]\nEtc=persistent', { etc: 'persistent' }],
    ['[Root]\nEtc=persistent\nEtc=', {}],
    ['[Stack]\nStarted=yes', { started: true }],
    ['[Stack]\nStarted=Off', { started: false }],
    ['[Stack]\nStarted=no\nStarted=auto', {}],
    ['[Stack]\nStarted=no\nStarted=', {}],
    ['[Stack]\nSkip=wifi,gpu\tlte_1.x-2\nSkip=x', { skip: ['wifi', 'gpu', 'lte_1.x-2', 'x'] }],
    ['[Stack]\nSkip=wifi\nSkip=', {}],
    ['[Safety]\nFailedUnits=ignore', { failedUnits: 'ignore' }],
    ['[Safety]\nFailedUnits=bad', { failedUnits: 'bad' }],
    ['[Safety]\nFailedUnits=bad\nFailedUnits=', {}],
    ['[Boot]\nTimeout=5', { timeout: 5 }],
    ['[Boot]\nTimeout=2min 5s', { timeout: 125 }],
    ['[Boot]\nContainer=yes', { container: true }],
    ['[Safety]\nAttempts=5\nSettle=2min\nTrialTimeout=1h', { attempts: 5, settle: 120, trialTimeout: 3600 }],
    ['[Safety]\nAttempts=0\nSettle=0', { attempts: 0, settle: 0 }],
    ['[Safety]\nAttempts=5\nAttempts=\nSettle=\nTrialTimeout=', {}],
    ['[Safety]\nEssential=/etc/a /opt/*\nEssential=/b', { essential: ['/etc/a', '/opt/*', '/b'] }],
    ['[Safety]\nEssential=/etc/a/ //b', { essential: ['/etc/a', '/b'] }],
    ['[Safety]\nEssential=/etc/a\nEssential=', {}],
    ['; comment\n# comment\n[Boot]\n Container = On ', { container: true }],
  ] as const) {
    const root = { prefix: makeTree(t, { 'etc/hostext.conf': text }) }
    t.same(readConfiguration(root), { configuration: { ...DEFAULTS, ...expected }, messages: [] }, text)
  }
})

t.test('a trial that ends before it can be marked is warned of', async (t) => {
  const text = '[Safety]\nSettle=10min\nTrialTimeout=10min\n'
  const root = { prefix: makeTree(t, { 'etc/hostext.conf': text }) }
  t.match(readConfiguration(root).messages, [
    { level: 'warning', text: /^TrialTimeout=600s is not longer than Settle=600s: / },
  ])
})

t.test('what is wrong is named with file and line, and the default holds', async (t) => {
  for (const [text, warning] of [
    ['[Engine]\nDataRoot=data', ':2: DataRoot=: data is not an absolute path'],
    ['[Engine]\nDataRoot=/a/../b', ':2: DataRoot=: /a/../b is not an absolute path'],
    ['[Stack]\nStarted=some', ':2: Started=: some is neither auto nor a boolean'],
    ['[Stack]\nSkip=gpu /wifi', ':2: Skip=: /wifi cannot be the name of a container'],
    ['[Stack]\nSkip=wifi*', ':2: Skip=: wifi* cannot be the name of a container'],
    ['[Safety]\nFailedUnits=fail', ':2: FailedUnits=: fail is not one of ignore, warn, bad'],
    ['[Safety]\nAttempts=-1', ':2: Attempts=: -1 is not a number from 0 to 999'],
    ['[Safety]\nEssential=/a b', ':2: Essential=: b cannot be an essential path'],
    ['[Safety]\nEssential=/', ':2: Essential=: / cannot be an essential path'],
    ['[Safety]\nSettle=soon', ':2: Settle=: soon is not a time span'],
    ['[Safety]\nTrialTimeout=0', ':2: TrialTimeout=: 0 is not a time span from a second to a day'],
    ['[Root]\n\nState=/var /', ':3: State=: / cannot be a state directory'],
    ['[Root]\nState=/run/x', ':2: State=: /run/x cannot be a state directory'],
    ['[Root]\nState=/etc', ':2: State=: /etc cannot be a state directory'],
    ['[Root]\nState=/home /usr', ':2: State=: /usr cannot be a state directory'],
    ['[Root]\nEtc=writable', ':2: Etc=: writable is not one of auto, read-only, volatile, persistent'],
    ['[Boot]\nTimeout=0', ':2: Timeout=: 0 is not a time span'],
    ['[Boot]\nTimeout=5 parsecs', ':2: Timeout=: 5 parsecs is not a time span'],
    ['[Boot]\nTimeout=\u001b[2J', ':2: Timeout=: \\x1b[2J is not a time span'],
    ['[Boot]\nContainer=maybe', ':2: Container=: maybe is not a boolean'],
    ['[Boot]\nContaner=yes', ':2: unknown setting [Boot] Contaner='],
    ['Container=yes', ':1: unknown setting [] Container='],
    ['[Boot]\nnonsense', ':2: not a setting: nonsense'],
    ['[__proto__]\nx=1', ':2: unknown setting [__proto__] x='],
  ] as const) {
    const { configuration, messages } = readConfiguration({
      prefix: makeTree(t, { 'etc/hostext.conf': text }),
    })
    t.same(configuration, DEFAULTS, text)
    t.equal(messages.length, 1)
    t.match(messages[0], { level: 'warning', text: `/etc/hostext.conf${warning}` })
  }
})

t.test('one main file; drop-ins by name, the first directory’s of a name', async (t) => {
  const root = {
    prefix: makeTree(t, {
      'usr/lib/hostext/hostext.conf': '[Boot]\nTimeout=1\n',
      'run/hostext.conf': '[Boot]\nTimeout=2\n',
      'usr/lib/hostext/hostext.conf.d/50-a.conf': '[Boot]\nTimeout=3\nContainer=yes\n',
      'run/hostext.conf.d/50-a.conf': '[Boot]\nTimeout=4\n',
      'etc/hostext.conf.d/40-b.conf': '[Boot]\nTimeout=5\n',
      'etc/hostext.conf.d/60.txt': '[Boot]\nTimeout=6\n',
    }),
  }
  t.same(readConfiguration(root), { configuration: { ...DEFAULTS, timeout: 4 }, messages: [] })
})

t.test('a file that cannot be read is named, the rest holds', async (t) => {
  const root = {
    prefix: makeTree(t, {
      'etc/hostext.conf/directory': '',
      'etc/hostext.conf.d/a.conf': '[Boot]\nTimeout=7\n',
    }),
  }
  const { configuration, messages } = readConfiguration(root)
  t.equal(configuration.timeout, 7)
  t.match(messages, [{ text: '/etc/hostext.conf: not a regular file but a directory' }])
})

t.equal(directoryPath('/a\\b'), null)
t.equal(directoryPath('/a\nb'), null)
t.equal(directoryPath('/a\u202eb'), null, 'what no line of a log may have')
t.equal(directoryPath('/a '), null, 'what a unit would lose')
t.equal(directoryPath('/a /b c'), '/a /b c')
t.equal(directoryPath('/'), '/')
