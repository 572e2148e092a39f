import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

/**
 * Runs one of the scripts that end the first pass; `calls` is what they asked of systemctl(1), a line each.
 */
function run(t: Test, words: string[], files: Tree = {}, tools: Tree = {}) {
  const [script = '', ...rest] = words
  const result = runPrivately(
    t,
    [join(STEPS, script), ...rest],
    { 'hostext/target': 'graphical.target\n', 'hostext.decision': 'stacking\n', ...files },
    {
      mount: '#!/bin/sh\n',
      umount: '#!/bin/sh\n',
      // Every layer is mounted.
      mountpoint: '#!/bin/sh\n',
      systemctl: '#!/bin/sh\n[ "$1" != is-failed ] || exit 1\necho "$@" >>/run/calls\n',
      ...tools,
    },
  )
  return { ...result, calls: (result.run.calls ?? '').split('\n').filter(Boolean) }
}

/** The state of a boot that somebody has taken the end of: a directory shows as what is in it. */
const TAKEN = { 'hostext/attempted/x': '' }
/** What wakes PID 1 ends with the first pass. */
const STOP = '--no-block stop hostext-awake.service'
const WAY = ['switch', 'switch-root', '/run']

const REPORT = '--no-block start hostext-report.service'

t.test(
  'the switch and the fallback: who comes first goes on, the other ends',
  { skip: cannotMount },
  async (t) => {
    t.test('the switch', async (t) => {
      const first = run(t, WAY)
      t.match(first, { status: 0, calls: [STOP, '--no-block switch-root /run'] })
      const late = run(t, WAY, TAKEN)
      t.match(late, { status: 0, kernelLog: '' }, 'it is no failure')
      t.same(late.calls, [])
      const soft = run(t, ['switch', 'soft-reboot', '/run'])
      t.same(soft.calls, [STOP, '--no-block --job-mode=replace-irreversibly start soft-reboot.target'])
    })
    t.test('the fallback', async (t) => {
      const first = run(t, ['fallback'])
      t.equal(first.status, 0)
      t.match(first.run['hostext.decision'], /plain root/)
      t.equal(first.run['hostext/fallback'], '')
      t.same(first.calls, [
        'kill --signal=KILL hostext-collect.service hostext-stack.service hostext-switch.service',
        '--no-block stop hostext-watch.service',
        'daemon-reload',
        '--no-block isolate graphical.target',
        REPORT,
      ])
      t.match(first.run['hostext/journal/00'], 'MESSAGE_ID=f2ebc2f8707349dba874df0983cc97d9\n')
      t.equal(
        first.run['motd.d/hostext'],
        'hostext: stacking failed or took too long: plain root; see "hostext status"\n',
      )
      const late = run(t, ['fallback'], { ...TAKEN, 'hostext/etc/upper/kept': '' })
      t.match(late, { status: 0, kernelLog: '' })
      t.same(late.calls, [])
      t.equal(late.run['hostext.decision'], 'stacking\n', 'nothing says "plain root" on an extended machine')
      t.notOk('hostext/fallback' in late.run)
      t.ok('hostext/etc/upper/kept' in late.run, 'its /etc stays')
    })
    t.test('a switch that is refused goes on to the plain root itself', async (t) => {
      const systemctl =
        '#!/bin/sh\necho "$@" >>/run/calls\n[ "$2" != switch-root ] && [ "$1" != is-failed ]\n'
      const refused = run(t, WAY, {}, { systemctl })
      t.equal(refused.status, 1)
      t.match(refused.kernelLog, /plain root/)
      t.match(refused.calls.at(-2), 'isolate graphical.target')
      t.same(run(t, ['fallback'], TAKEN).calls, [], 'the one that its failure asks for finds nothing to do')
    })
    t.test('where no directory can be made, the boot goes on', async (t) => {
      const mkdir = '#!/bin/sh\n[ "$1" != /run/hostext/attempted ] || exit 1\nexec /bin/mkdir "$@"\n'
      const { status, calls } = run(t, WAY, {}, { mkdir })
      t.same([status, calls], [1, []], 'not to a new root')
      t.match(run(t, ['fallback'], {}, { mkdir }).calls.at(-2), 'isolate graphical.target')
      t.match(run(t, ['collect'], {}, { mkdir }).calls.at(-1), 'isolate graphical.target')
    })
    t.test('what has mounted the data, and finds nothing to stack', async (t) => {
      t.same(run(t, ['collect']).calls, ['daemon-reload', '--no-block isolate graphical.target'])
      t.same(run(t, ['collect'], TAKEN).calls, ['daemon-reload'], 'the boot has gone on without it')
      const tools = (...refused: string[]): Tree => ({
        systemctl: `#!/bin/sh\necho "$*" >>/run/calls\ncase "$*" in ${refused.join('|')}) exit 1 ;; esac\n`,
        rmdir: '#!/bin/sh\necho "rmdir $*" >>/run/calls\n',
      })
      const all = ['isolate graphical', 'start graphical', 'isolate default', 'start default'].map(
        (call) => `--no-block ${call}.target`,
      )
      const alone = run(t, ['collect'], {}, tools('*isolate*'))
      t.same(
        [alone.status, ...alone.calls],
        [0, 'daemon-reload', ...all.slice(0, 2), STOP],
        'a target that cannot be isolated is started',
      )
      const other = run(t, ['collect'], {}, tools('*graphical*'))
      t.same(
        [other.status, ...other.calls],
        [0, 'daemon-reload', ...all.slice(0, 3)],
        'one that is not there',
      )
      const refused = run(t, ['collect'], {}, tools('*isolate*', '*start*'))
      const free = 'rmdir /run/hostext/attempted'
      t.same(
        [refused.status, ...refused.calls],
        [1, 'daemon-reload', ...all, free],
        'the fallback can still have it',
      )
    })
    t.test('the fallback to a target that cannot be isolated', async (t) => {
      const ends = (refused: string) => {
        const systemctl = `#!/bin/sh\n[ "$1" != is-failed ] || exit 1\necho "$*" >>/run/calls\ncase "$*" in ${refused}) exit 1 ;; esac\n`
        const { calls } = run(t, ['fallback'], {}, { systemctl })
        return calls.slice(calls.indexOf('daemon-reload') + 1)
      }
      const graphical = ['--no-block isolate graphical.target', '--no-block start graphical.target']
      t.same(ends('*isolate*'), [...graphical, STOP, REPORT])
      t.same(ends('*graphical*'), [...graphical, '--no-block isolate default.target', REPORT])
    })
  },
)

t.test('what is said of a first pass that failed', { skip: cannotMount }, async (t) => {
  t.test(
    'what mount has said goes to the kernel log: readable, and no more than anybody reads',
    async (t) => {
      const log = `\u001b[2Jmount: \u009b31m /run/hostext/0\n${'x'.repeat(5000)}\n${'more\n'.repeat(1000)}`
      const { status, kernelLog } = run(t, ['fallback'], { 'hostext/mount.log': log })
      t.equal(status, 0)
      t.notMatch(kernelLog, /[^\n -~]/)
      t.match(kernelLog, /^<3>hostext: \?\[2Jmount: \?\?31m \/run\/hostext\/0\n/)
      const lines = kernelLog.trimEnd().split('\n')
      t.equal(lines.length, 51)
      t.equal(Math.max(...lines.map((line) => line.length)), '<3>hostext: '.length + 500)
      const last = 'stacking failed or took too long: plain root, extensions are left out'
      t.equal(lines.at(-1), `<3>hostext: ${last}`)
    },
  )

  t.test('a line is as long as the kernel takes', async (t) => {
    const path = `/${'x'.repeat(2000)}`
    const { kernelLog, run: after } = run(t, ['fallback'], {
      'hostext/waiting/normal/hostext-data.service': `RequiresMountsFor=${path}\n`,
    })
    t.equal(kernelLog.length, '<3>hostext: '.length + 900 + 1)
    t.match(after['hostext.decision'], `${path} did not appear in time`)
  })

  t.test('what was waited for is named, unless it did appear', async (t) => {
    const waiting = {
      'hostext/waiting/normal/hostext-data.service': '[Unit]\nRequiresMountsFor=/mnt/data /srv\nAfter=x\n',
    }
    const reason = (files: Tree) => run(t, ['fallback'], files).run['hostext.decision']?.split('\n')[1]
    const end = ': plain root, extensions are left out'
    t.equal(reason(waiting), `error: the file system for /mnt/data /srv did not appear in time${end}`)
    const preparing = { 'hostext/waiting/normal/hostext-collect.service': '[Unit]\nRequiresMountsFor=/srv\n' }
    for (const files of [{}, preparing, { ...waiting, 'hostext/collected': '' }])
      t.equal(reason(files), `error: stacking failed or took too long${end}`)
  })

  t.test('the root is opened again if the switch has closed it, and no other', async (t) => {
    /** What is remounted on a machine with this kernel command line. */
    const remounted = (files: Tree, commandLine: string): string[] => {
      const script = `echo '${commandLine}' >/run/cmdline && /bin/mount --bind /run/cmdline /proc/cmdline && exec "$0"`
      const { run: after } = runPrivately(
        t,
        ['sh', '-c', script, join(STEPS, 'fallback')],
        { 'hostext/target': 'graphical.target\n', ...files },
        {
          mount: '#!/bin/sh\necho "$*" >>/run/remounted\n',
          umount: '#!/bin/sh\n',
          systemctl: '#!/bin/sh\nfalse\n',
        },
      )
      return (after.remounted ?? '').split('\n').filter(Boolean)
    }
    const closed = { 'hostext/closed': '' }
    t.same(remounted(closed, 'quiet rw panic=1'), ['-o remount,rw --target /'])
    t.same(remounted(closed, 'quiet ro'), [], 'fstab opens it')
    t.same(remounted({}, 'quiet rw'), [], 'a container has the command line of its host')
  })
})

t.test('the check of the root has failed', { skip: cannotMount }, async (t) => {
  /** The first pass of a machine whose check fails, and says `status` when it is asked again. */
  const failed = (status: number, { systemctl = '', onFailure = 'emergency.target' } = {}) =>
    run(
      t,
      ['fallback'],
      { 'hostext/closed': '' },
      {
        mountpoint: '#!/bin/sh\nset -- /sys/dev/block/*:*\nbasename "$1"\n',
        fsck: `#!/bin/sh\necho "fsck $*" >>/run/calls\nexit ${status}\n`,
        mount: '#!/bin/sh\necho "mount $*" >>/run/calls\n',
        systemctl: `#!/bin/sh\necho "$*" >>/run/calls\n[ "$1" != show ] || echo "${onFailure}"\n${systemctl}`,
      },
    )
  const kill = 'kill --signal=KILL hostext-collect.service hostext-stack.service hostext-switch.service'
  const unwatched = '--no-block stop hostext-watch.service'
  const asked = 'is-failed --quiet systemd-fsck-root.service'

  t.test('it has mended everything, and wants a reboot, as it gets without hostext', async (t) => {
    const { calls, kernelLog } = failed(0)
    const [check, ...others] = calls.filter((call) => call.startsWith('fsck') || call.startsWith('reboot'))
    t.match(check, /^fsck -T -n \/dev\/[^/:]+$/, 'nothing is written')
    t.same(others, ['reboot --force'])
    t.same(calls.slice(0, 3), [kill, unwatched, asked], 'what may take long is not watched')
    t.equal(kernelLog, '<4>hostext: the root file system was mended, and has to be mounted anew: reboot\n')
  })

  t.test('there is more to mend: emergency mode, which nothing ends', async (t) => {
    for (const [what, outcome] of [
      ['errors are left', failed(4)],
      ['it cannot be checked', failed(8)],
      ['the reboot is refused', failed(0, { systemctl: '[ "$1" != reboot ]\n' })],
    ] as const) {
      const calls = outcome.calls.filter((call) => !/^(?:fsck|reboot) /.test(call))
      t.same(
        calls,
        [
          kill,
          unwatched,
          asked,
          'show --property=OnFailure systemd-fsck-root.service',
          '--no-block start emergency.target',
          'daemon-reload',
        ],
        `${what}: nothing is remounted, no target is isolated`,
      )
      const said = 'the check of the root file system failed: emergency mode, as without extensions'
      t.match(outcome.kernelLog, `<3>hostext: ${said}\n`)
      t.equal(outcome.run['motd.d/hostext'], `hostext: ${said.split(',')[0]}; see "hostext status"\n`)
      t.ok(
        'systemd/system/sysinit.target.wants/hostext-report.service' in outcome.run,
        'whoever leaves the shell has the report in the journal',
      )
    }
  })

  t.test('a machine that boots on after that has its target', async (t) => {
    const { calls } = failed(4, { onFailure: '' })
    t.notOk(calls.includes('--no-block start emergency.target'))
    t.notOk(
      calls.some((call) => call.startsWith('mount')),
      'nothing is remounted',
    )
    t.same(calls.slice(-2), ['--no-block isolate graphical.target', REPORT])
  })
})
