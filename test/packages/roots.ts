import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, cached } from '../boot/cache.js'
import { dataRoot } from '../boot/engine.js'
import { FEATURE } from '../boot/extensions.js'
import { mmdebstrap } from '../boot/mmdebstrap.js'
import { debian, type Release } from '../boot/rootfs.js'
import { inMemory } from '../support/memory.js'
import type { PackageSet } from './sets.js'

const INSTALL = join(import.meta.dirname, 'install')
/** Debian's images for Docker have it; no service starts while an image is built. */
const POLICY = 'usr/sbin/policy-rc.d'

/** The Debian packages of a set. */
export function packagesOf({ packages }: PackageSet): string[] {
  return packages.flatMap(({ name, with: more = [] }) => [name, ...more])
}

function install(release: Release, made: string, packages: readonly string[]): void {
  writeFileSync(join(made, 'root', POLICY), '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  const words = ['--mount', '--propagation', 'private', 'sh', INSTALL]
  const directories = [join(made, 'root'), join(CACHE, `archives-${release}`), join(made, 'debs')]
  try {
    execFileSync('unshare', [...words, ...directories, ...packages], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 26,
    })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${packages.join(' ')} on ${release}:\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`)
  }
}

const recipe = (...parts: unknown[]): string => JSON.stringify([...parts, readFileSync(INSTALL, 'utf8')])

/**
 * A machine's root with the packages of a set installed: `root`, and `debs`, the packages that were added.
 */
export function installedRoot(release: Release, set: PackageSet): { root: string; debs: string } {
  const base = debian(release).root
  const packages = packagesOf(set)
  const made = cached(`packages-installed-${set.name}-${release}`, recipe(base, packages), (made) => {
    console.error(`# installing ${packages.join(' ')} on ${release}`)
    execFileSync('cp', ['-a', base, join(made, 'root')])
    install(release, made, packages)
    rmSync(join(made, 'root', POLICY))
  })
  return { root: join(made, 'root'), debs: join(made, 'debs') }
}

/** A data root with one extension: a whole minimal system, like `FROM debian`, with the packages of a set. */
export function imageData(release: Release, set: PackageSet): string {
  const packages = packagesOf(set)
  const base = minimalSystem(release)
  const made = cached(`packages-image-${set.name}-${release}`, recipe(base, packages), (made) => {
    console.error(`# making an image with ${packages.join(' ')} for ${release}`)
    execFileSync('cp', ['-a', base, join(made, 'root')])
    install(release, made, packages)
    archive(made)
  })
  return extension(`packages-${set.name}-${release}-image`, made)
}

/** A data root with one extension: the packages of a set, and what they need, unpacked and not installed. */
export function unpackedData(release: Release, set: PackageSet): string {
  const { debs } = installedRoot(release, set)
  const made = cached(`packages-unpacked-${set.name}-${release}`, recipe(debs), (made) => {
    const root = join(made, 'root')
    mkdirSync(root)
    for (const deb of readdirSync(debs)) execFileSync('dpkg', ['-x', join(debs, deb), root])
    archive(made)
  })
  return extension(`packages-${set.name}-${release}-unpacked`, made)
}

/** Debian as its image for Docker is: no init, no kernel. */
function minimalSystem(release: Release): string {
  const words = ['--variant=minbase', '--mode=root']
  const made = cached(`packages-minimal-${release}`, JSON.stringify(words), (made) => {
    console.error(`# making a minimal Debian ${release}`)
    const file = join(made, 'root.tar')
    mmdebstrap([...words, release, file], { env: { ...process.env, ...inMemory(2 * 2 ** 30) } })
    mkdirSync(join(made, 'root'))
    execFileSync('tar', ['-xf', file, '-C', join(made, 'root'), '--exclude=./dev/*'])
    rmSync(file)
  })
  return join(made, 'root')
}

/** Makes an archive of the tree, with owners, modes and file capabilities. */
function archive(made: string): void {
  const words = ['--xattrs', '--xattrs-include=security.capability', '--numeric-owner', '--sort=name']
  execFileSync('tar', [...words, '-cf', join(made, 'root.tar'), '-C', join(made, 'root'), '.'])
  rmSync(join(made, 'root'), { recursive: true })
}

function extension(name: string, made: string): string {
  const dockerfile = `FROM scratch\n${FEATURE}\nADD root.tar /\n`
  return dataRoot(name, [{ name: 'packages', dockerfile, archive: join(made, 'root.tar') }])
}
