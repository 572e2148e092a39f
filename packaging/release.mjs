import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { billOfMaterials } from './bom.mjs'
import { buildDebs, DEBIAN_ARCHITECTURES } from './deb.mjs'
import { hostextFiles, runtimeFiles, stage } from './files.mjs'

/**
 * Makes all artefacts of a release in the new directory `out`: the Debian packages; for whoever builds the
 * image of a device, an archive to be unpacked over its root file system, for each architecture, and one
 * without a runtime; the bill of materials; and the checksums of all of them. Returns the names of the files.
 * @param {Parameters<typeof buildDebs>[0] & { packages: string[] }} wanted With the npm packages that are in
 *   the bundles.
 * @returns {string[]}
 */
export function buildRelease(wanted) {
  const { project, runtimes, version, out } = wanted
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  buildDebs(wanted)
  const common = hostextFiles(project)
  archive(wanted, 'all', common)
  for (const [arch, runtime] of Object.entries(runtimes))
    archive(wanted, DEBIAN_ARCHITECTURES[arch], [...runtimeFiles(runtime, project), ...common])
  writeFileSync(join(out, `hostext-${version}.cdx.json`), billOfMaterials(wanted))
  const names = readdirSync(out).sort()
  const sums = names.map((name) => {
    const hash = createHash('sha256').update(readFileSync(join(out, name)))
    return `${hash.digest('hex')}  ${name}\n`
  })
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
  return [...names, 'SHA256SUMS']
}

/**
 * Makes an archive that has nothing of this machine or of the time: "Reproducibility" in GNU tar's manual.
 */
function archive({ version, time, out, compression = '6' }, arch, entries) {
  const work = mkdtempSync(join(out, '.archive-'))
  try {
    stage(entries, work)
    const file = join(out, `hostext-${version}-${arch}.tar`)
    const words = [
      '--sort=name',
      `--mtime=@${time}`,
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--format=gnu',
    ]
    // The directory itself has the mode of a temporary one; and that of the root is the root's.
    execFileSync('tar', ['-C', work, ...words, '-cf', file, ...readdirSync(work).sort()], {
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    })
    execFileSync('xz', ['--threads=1', `-${compression}`, file])
  } finally {
    rmSync(work, { recursive: true })
  }
}
