import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The current LTS release of Node: the official build for each architecture, from the npm registry. */
export const OFFICIAL = {
  version: '24.21.0',
  integrity: {
    x64: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    arm64: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
}

/**
 * Fetches the official build of Node for `arch` once, and checks it against the pinned hash. Returns the
 * directory below `build` that has its `bin/node` and `LICENSE`. Throws an Error if there is none, or if it
 * has another hash.
 * @param {string} arch
 * @param {string} build
 * @returns {string}
 */
export function fetchOfficial(arch, build) {
  const { version, integrity } = OFFICIAL
  const pinned = integrity[arch]
  if (!pinned)
    throw new Error(`no runtime for ${arch}; there is one for ${Object.keys(integrity).join(', ')}`)
  const name = `node-linux-${arch}`
  const out = join(build, `${name}-${version}`)
  if (existsSync(out)) return out

  mkdirSync(build, { recursive: true })
  const work = mkdtempSync(join(build, '.official-'))
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${version}`], {
      stdio: 'pipe',
    })
    const archive = join(work, `${name}-${version}.tgz`)
    const hash = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
    if (hash !== pinned) throw new Error(`${name}@${version} has ${hash}, not the pinned ${pinned}`)
    execFileSync('tar', ['-xzf', archive, '-C', work, 'package/bin/node', 'package/LICENSE'])
    moveInto(join(work, 'package'), out)
  } finally {
    rmSync(work, { recursive: true })
  }
  return out
}

/**
 * Gives a finished directory its place, at once. If another process was faster, that one's stays.
 * @param {string} from
 * @param {string} to
 */
export function moveInto(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  try {
    renameSync(from, to)
  } catch (error) {
    if (!existsSync(to)) throw error
  }
}
