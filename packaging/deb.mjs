import { execFileSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { dependsOf } from './debian/depends.mjs'
import { hostextFiles, runtimeFiles, stage } from './files.mjs'
import { readElf } from './runtime/elf.mjs'

/** What Debian calls the architectures of Node. */
export const DEBIAN_ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' }

/**
 * Makes the Debian packages: hostext, and hostext-runtime for each architecture, by debhelper(7) and
 * packaging/debian. Returns the names of the files in `out`. Throws an Error with the output of
 * dpkg-buildpackage(1).
 * @param {object} wanted
 * @param {string} wanted.project The checkout.
 * @param {Record<string, string>} wanted.runtimes The directory of the runtime for each architecture of Node.
 * @param {string} wanted.version
 * @param {number} wanted.time Of everything in them, in seconds since 1970.
 * @param {string} wanted.out
 * @param {string} [wanted.compression] The level of xz(1).
 * @returns {string[]}
 */
export function buildDebs({ project, runtimes, version, time, out, compression = '6' }) {
  mkdirSync(out, { recursive: true })
  const work = mkdtempSync(join(out, '.deb-'))
  try {
    for (const [index, [arch, runtime]] of Object.entries(runtimes).entries()) {
      const tree = join(work, `hostext-${arch}`)
      const debian = join(tree, 'debian')
      cpSync(join(project, 'packaging/debian'), debian, { recursive: true })
      rmSync(join(debian, 'depends.mjs'))
      cpSync(join(project, 'README.md'), join(tree, 'files/README.md'))
      // debhelper would take a file with its own name for a changelog in Debian's form.
      cpSync(join(project, 'CHANGELOG.md'), join(tree, 'files/NEWS.md'))
      writeFileSync(join(debian, 'changelog'), changelog(project, version, time))
      const own = readFileSync(join(debian, 'copyright'), 'utf8')
      const bundled = readFileSync(join(project, 'dist/licenses.txt'), 'utf8')
      writeFileSync(join(debian, 'hostext.copyright'), `${own}\nThe bundle contains:\n${bundled}`)
      const node = readFileSync(join(runtime, 'LICENSE'), 'utf8')
      writeFileSync(
        join(debian, 'hostext-runtime.copyright'),
        `This is Node.js, without what hostext does not use:\nhttps://nodejs.org/\n\n${node}`,
      )
      const isNotLicence = ({ kind }) => kind !== 'licence'
      stage(hostextFiles(project).filter(isNotLicence), join(tree, 'files/hostext'))
      stage(runtimeFiles(runtime, project).filter(isNotLicence), join(tree, 'files/hostext-runtime'))
      writeFileSync(join(tree, 'files/depends'), dependsOf(readElf(readFileSync(join(runtime, 'node')))))
      setTimes(tree, time)
      // The package for all architectures is made with the first one.
      const what = index === 0 ? 'binary' : 'any'
      run(tree, [`--build=${what}`, '--host-arch', DEBIAN_ARCHITECTURES[arch]], time, compression)
    }
    const names = readdirSync(work).filter((name) => name.endsWith('.deb'))
    for (const name of names) renameSync(join(work, name), join(out, name))
    return names.sort()
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** The changelog of the packages: debhelper takes their version and date from it. */
function changelog(project, version, time) {
  const control = readFileSync(join(project, 'packaging/debian/control'), 'utf8')
  const [, maintainer] = /^Maintainer: (.*)$/m.exec(control) ?? []
  const date = new Date(time * 1000).toUTCString().replace('GMT', '+0000')
  return `hostext (${version}) unstable; urgency=medium

  * What has changed is in NEWS.md.

 -- ${maintainer}  ${date}
`
}

/** Gives everything in a tree one time. */
function setTimes(tree, time) {
  execFileSync('find', [tree, '-exec', 'touch', '--no-dereference', '--date', `@${time}`, '{}', '+'])
}

function run(tree, words, time, compression) {
  try {
    execFileSync('dpkg-buildpackage', ['--no-sign', ...words], {
      cwd: tree,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        LC_ALL: 'C.UTF-8',
        SOURCE_DATE_EPOCH: String(time),
        HOSTEXT_COMPRESSION: compression,
        DEB_BUILD_OPTIONS: 'nocheck',
      },
    })
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error
    throw new Error(
      code === 'ENOENT'
        ? 'dpkg-buildpackage is missing: apt-get install debhelper'
        : `dpkg-buildpackage: ${`${stdout}${stderr}`.slice(-4000)}`,
    )
  }
}
