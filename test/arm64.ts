/**
 * `npm run test:arm64 [-- --console FILE]`: Debian 13 for arm64, with the packages of this checkout, boots on
 * an emulated machine and stacks an extension for arm64: an image with mosquitto. CI does not run it. The
 * console of that boot goes to FILE. `--patient`: the runtime may take five minutes there instead of 20 s, if
 * this machine has other things to do.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import minimist from 'minimist'
import { buildDebs } from '../packaging/deb.mjs'
import { qemuArm64 } from './arm64/qemu.js'
import { debianArm64, prepareTools } from './arm64/rootfs.js'
import { cached } from './boot/cache.js'
import { BASE_REPORT, MARKED } from './boot/checks.js'
import { bootDisks } from './boot/disk-machine.js'
import { dataRoot } from './boot/engine.js'
import { FEATURE, prepareImages } from './boot/extensions.js'
import { prepareHost } from './boot/packages.js'
import { hashOfSources } from './boot/sources.js'
import { PROJECT } from './support/paths.js'
import { runtimeDirectory } from './support/runtime.js'

const problem = prepareHost()
if (problem) throw new Error(problem)
const options = minimist(process.argv.slice(2), { string: ['console'], boolean: ['patient'] })
const started = Date.now()
const step = (what: string) => console.log(`[${Math.round((Date.now() - started) / 1000)} s] ${what}`)

prepareTools()
step('Debian 13 for arm64')
const debian = debianArm64()

step('a real dockerd makes the image and the container')
// An image for another architecture than the engine's: docker(1) takes it from there.
process.env.DOCKER_DEFAULT_PLATFORM = 'linux/arm64'
const data = dataRoot(
  'arm64',
  [
    {
      name: 'mosquitto',
      dockerfile: `FROM scratch\n${FEATURE}\nADD root.tar /\nCOPY tree /\n`,
      archive: debian.image,
      // What the script of the package does.
      files: {
        'tree/usr/lib/sysusers.d/mosquitto.conf': 'u mosquitto - - /var/lib/mosquitto\n',
        'tree/usr/lib/systemd/system/multi-user.target.wants/mosquitto.service': '->../mosquitto.service',
      },
    },
  ],
  'buildkit',
)

step('the packages')
const debs = cached('debs-arm64', hashOfSources(), (made) => {
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))
  const runtimes = { arm64: runtimeDirectory('arm64') }
  buildDebs({ project: PROJECT, runtimes, version, time: 1_700_000_000, out: made, compression: '0' })
})

const SCRIPT = `
# It has ttyS1, and nothing behind it.
out=/dev/console
${BASE_REPORT}${MARKED}
marked
report machine uname -srm
report packages dpkg-query -W hostext hostext-runtime
report status hostext status
report service systemctl status --no-pager --lines=0 mosquitto.service
report program od -An -tx1 -j16 -N4 /usr/sbin/mosquitto
`

/** As a builder of images does it: the scripts of our packages can run here, for that root. */
function installPackages(root: string): void {
  const force = '--force-architecture,depends,script-chrootless'
  const names = readdirSync(debs).map((name) => join(debs, name))
  execFileSync('dpkg', [`--root=${root}`, force, '--install', ...names], { stdio: 'pipe' })
  prepareImages(root)
  if (!options.patient) return
  const stub = join(root, 'usr/lib/systemd/system-generators/hostext-generator')
  const text = readFileSync(stub, 'utf8').replace("limit='timeout -k 1 20'", "limit='timeout -k 1 300'")
  // A new file: the tree has links to that of the cache.
  rmSync(stub)
  writeFileSync(stub, text, { mode: 0o755 })
}

step('a boot')
const {
  reports,
  console: consoleText,
  seconds,
} = await bootDisks(
  qemuArm64(debian),
  {
    release: 'trixie',
    base: () => debian.root,
    lean: true,
    // The package scripts have done the updates of /etc and /var.
    commandLine: ['systemd.condition_needs_update=0'],
    dataRoot: data,
    // An emulated processor is slow, and others may want the real one.
    files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\nTrialTimeout=1h\n[Boot]\nTimeout=20min\n' },
    prepare: installPackages,
    script: SCRIPT,
  },
  { limit: 3000 },
)
step(`the boot took ${Math.round(seconds)} s`)
if (options.console) writeFileSync(options.console, consoleText)
const said = (key: string) => reports.get(key) ?? ''
console.log([...reports].map(([key, text]) => `${key}: ${text}`).join('\n'))
const wanted: [string, boolean][] = [
  ['the packages are installed', reports.get('packages.status') === '0'],
  ['it is an arm64 machine', said('machine').endsWith('aarch64')],
  ['the root is stacked', /^hostext +overlay +ro,/.test(said('root'))],
  ['the stack is marked good', /^ *safety +this stack has booted well$/m.test(said('status'))],
  ['the service of the extension runs', /Active: active \(running\)/.test(said('service'))],
  // e_type and e_machine of elf(5): EM_AARCH64 is 183.
  ['its program is for arm64', said('program').trim().endsWith('b7 00')],
  ['no unit has failed', said('failed') === ''],
]
for (const [what, isSo] of wanted) console.log(`${isSo ? 'ok' : 'not ok'} - ${what}`)
process.exit(wanted.every(([, isSo]) => isSo) ? 0 : 1)
