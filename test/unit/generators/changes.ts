import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { makeTree, readTree, type Tree, writeTree } from '../../support/tree.js'

const CHANGES = join(STEPS, 'changes')

/**
 * Runs the script on `etc` below a state directory with these files; `mount` is what mount(8) does instead.
 */
function run(t: Test, files: Tree, state = false, mount = 'exit 0') {
  const work = makeTree(t, { 'bin/mount': `#!/bin/sh\necho "$@" >"$WORK/mounted"\n${mount}\n` })
  chmodSync(join(work, 'bin/mount'), 0o755)
  writeTree(join(work, 'var'), { 'lib/other': '', ...files })
  const directory = join(work, 'var/lib/hostext/etc')
  const words = state ? [directory, join(work, 'var'), 'remount,noatime,rw'] : [directory]
  const { status } = spawnSync('sh', ['-c', `umask 022; exec "$0" "$@"`, CHANGES, ...words], {
    env: { PATH: `${join(work, 'bin')}:${process.env.PATH}`, WORK: work, HOSTEXT_ROOT: work },
  })
  const mode = (path: string) => (statSync(join(directory, path)).mode & 0o7777).toString(8)
  const mounted = () => readFileSync(join(work, 'mounted'), 'utf8').replaceAll(work, '')
  return { status, files: readTree(join(work, 'var/lib')), work, directory, mode, mounted }
}

t.test('the first boot makes the directories; nobody else looks at changes to /etc', async (t) => {
  const { status, mode } = run(t, {})
  t.equal(status, 0)
  t.equal(mode('..'), '755')
  t.equal(mode('.'), '700')
  t.equal(mode('upper'), '755', 'it gives /etc its mode')
  t.equal(mode('work'), '755')
})

t.test('what is kept stays, but indexes', async (t) => {
  const kept = {
    'hostext/etc/upper/hostname': 'renamed\n',
    'hostext/etc/upper/ld.so.conf': 'x\n',
    'hostext/etc/upper/udev/rules.d/x.rules': 'x\n',
    other: '',
  }
  const { status, files } = run(t, {
    ...Object.fromEntries(Object.entries(kept).map(([path, text]) => [`lib/${path}`, text])),
    'lib/hostext/etc/upper/ld.so.cache': 'old',
    'lib/hostext/etc/upper/udev/hwdb.bin': 'old',
  })
  t.equal(status, 0)
  t.same(files, kept)
})

t.test('below a state directory: that is made writable first', async (t) => {
  const { status, mode, mounted } = run(t, {}, true, '[ ! -e "$WORK/var/lib/hostext" ]')
  t.equal(status, 0)
  t.equal(mounted(), '-o remount,noatime,rw --target /var\n')
  t.equal(mode('upper'), '755')
  const refused = run(t, {}, true, 'exit 32')
  t.not(refused.status, 0, 'a state that stays read-only fails the unit')
  t.same(refused.files, { other: '' }, 'and nothing is made')
})

/** A machine whose base root has these users: `redis 101`. Returns how it boots, and what a boot has said. */
function accounts(t: Test, shell: string[]) {
  const work = makeTree(t, {
    'log.sh': `log() { echo "$1 $2" >>"$WORK/log"; }\nwarn() { log 4 "$1"; }\n`,
  })
  cpSync(CHANGES, join(work, 'changes'))
  const directory = join(work, 'var/lib/hostext/etc')
  const lines = (users: string, line: (name: string, id: string) => string) =>
    users
      .split('\n')
      .map((user) => line(...(user.split(' ') as [string, string])))
      .join('')
  const files = (users: string): Tree => ({
    passwd: lines(users, (name, id) => `${name}:x:${id}:${id}::/:/bin/sh\n`),
    shadow: lines(users, (name) => `${name}:!:1:0:::::\n`),
    group: lines(users, (name, id) => `${name}:x:${id}:\n`),
    gshadow: lines(users, (name) => `${name}:!::\n`),
  })
  const own = (users: string) => writeTree(join(work, 'etc'), files(users))
  const kept = (users: string) => {
    writeTree(join(directory, 'upper'), files(users))
    chmodSync(join(directory, 'upper/shadow'), 0o640)
  }
  const read = (name: string) => readFileSync(join(directory, 'upper', name), 'utf8')
  const names = (name: string) => read(name).replace(/:.*/g, '').trim().split('\n').join(' ')
  const boot = (): string[] => {
    rmSync(join(work, 'log'), { force: true })
    const [program = '', ...words] = [...shell, join(work, 'changes'), directory]
    const { status, stderr } = spawnSync(program, words, {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, WORK: work, HOSTEXT_ROOT: work },
    })
    t.same([status, stderr], [0, ''])
    return existsSync(join(work, 'log')) ? readFileSync(join(work, 'log'), 'utf8').trim().split('\n') : []
  }
  return { work, directory, own, kept, read, names, boot }
}

for (const [what, shell] of Object.entries({
  dash: ['dash'],
  bash: ['bash'],
  // Its own commands, not those of the machine.
  busybox: ['busybox', 'sh'],
})) {
  t.test(`${what}: users that the base root gets later`, async (t) => {
    const { directory, own, kept, read, names, boot } = accounts(t, shell)
    own('root 0\npi 1000')
    t.same(boot(), [], 'the first boot')
    t.equal(statSync(join(directory, 'base')).mode & 0o7777, 0o700)
    // An extension has brought one, and the administrator has removed another.
    kept('root 0\nredis 101\nalice 1001')
    t.same(boot(), [])
    own('root 0\npi 1001\nmosquitto 101\n+nis 7\nalice 1002\nb.c$ 300')
    const leftOut = ['group', 'passwd'].map((name) => {
      const kind = name === 'passwd' ? 'user' : 'group'
      return `4 the ${kind} mosquitto of the base root is left out: redis has its ID 101 in the kept /etc/${name}`
    })
    const added = (who: string) =>
      ['gshadow', 'shadow', 'group', 'passwd'].map(
        (name) => `5 the kept /etc/${name} gets what the base root has got since the last boot: ${who}`,
      )
    t.same(boot(), [
      leftOut[0],
      '4 the group alice of the base root has the ID 1002, and 1001 in the kept /etc/group, which counts',
      leftOut[1],
      '4 the user alice of the base root has the ID 1002, and 1001 in the kept /etc/passwd, which counts',
      ...added('b.c$'),
    ])
    for (const name of ['passwd', 'shadow', 'group', 'gshadow'])
      t.equal(names(name), 'root redis alice b.c$', name)
    t.match(read('passwd'), /^redis:x:101:101::\/:\/bin\/sh$/m)
    t.match(read('passwd'), /^b\.c\$:x:300:300::\/:\/bin\/sh$/m)
    t.same(boot(), leftOut, 'named in each boot')
    t.equal(statSync(join(directory, 'upper/shadow')).mode & 0o7777, 0o640)
    kept('root 0\nalice 1001')
    t.same(boot(), added('mosquitto'), 'nobody else has the ID any more; whoever was removed stays away')
    t.equal(names('passwd'), 'root alice mosquitto')
    t.same(boot(), [])
  })
}

t.test('a copy that is not there hides nothing; what is no file stays', async (t) => {
  const { directory, own, boot } = accounts(t, ['dash'])
  own('root 0')
  boot()
  writeTree(join(directory, 'upper'), { passwd: '-> /etc/elsewhere', 'group/x': '' })
  own('root 0\nnew 100')
  t.same(boot(), [])
  t.same(readTree(join(directory, 'upper')), { passwd: '-> /etc/elsewhere', 'group/x': '' })
})

t.test('nothing of it ends a boot', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const { directory, own, kept, boot, names } = accounts(t, ['dash'])
  own('root 0')
  kept('root 0')
  // What is not written yet in a power cut, or cannot be.
  writeTree(directory, { 'base/passwd': '', 'work/x': '' })
  t.same(boot(), [])
  rmSync(join(directory, 'base'), { recursive: true })
  own('root 0\nnew 100')
  t.same(boot(), [], 'unknown what is new')
  t.equal(names('passwd'), 'root')
})
