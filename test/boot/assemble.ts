import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PROJECT } from '../support/paths.js'
import { TESTED } from '../support/runtime.js'
import { cached } from './cache.js'
import type { Machine } from './machine.js'
import { debian, type Kind, type Release } from './rootfs.js'
import { hashOfSources } from './sources.js'

/** The root file system with this checkout's hostext installed by `build.mjs install`. */
function installed(release: Release, kind: Kind): string {
  const { root } = debian(release, kind)
  const name = kind === 'plain' ? `installed-${release}` : `installed-${kind}-${release}`
  return cached(name, [root, hashOfSources(), ...TESTED].join(' '), (directory) => {
    execFileSync('cp', ['-a', `${root}/.`, directory])
    // With a wrong umask: it takes away permissions that others need, and leaves some that they must not
    // have.
    const script = 'umask 005 && exec "$0" build.mjs install --destdir "$@"'
    execFileSync('sh', ['-c', script, process.execPath, directory, ...TESTED], {
      cwd: PROJECT,
      stdio: 'pipe',
    })
  })
}

/** Makes the tree of a machine in a new directory; `addModules` adds the modules of another kernel. */
export function assemble(machine: Machine, addModules?: (tree: string) => void): string {
  const tree = mkdtempSync(join(tmpdir(), `hostext-${machine.release}-`))
  chmodSync(tree, 0o755)
  // Nothing modifies files below /usr in place, so hard links will do there; the rest is copied.
  const base = machine.base?.(machine.release) ?? installed(machine.release, kindOf(machine))
  const others = readdirSync(base).filter((name) => name !== 'usr')
  execFileSync('cp', ['-a', '-t', tree, ...others.map((name) => join(base, name))])
  execFileSync('cp', ['-al', '-t', tree, join(base, 'usr')])
  addModules?.(tree)
  const [kernel] = readdirSync(join(tree, 'usr/lib/modules')) as [string]
  const dataRoot =
    typeof machine.dataRoot === 'function' ? machine.dataRoot(machine.release, kernel) : machine.dataRoot
  if (dataRoot) {
    mkdirSync(join(tree, 'var/lib/docker'), { recursive: true })
    execFileSync('cp', ['-a', `${dataRoot}/.`, join(tree, 'var/lib/docker')])
  }
  const files = { 'usr/lib/test/script': machine.script, ...machine.files }
  for (const [path, text] of Object.entries(files)) {
    const file = join(tree, path.replace(/\*$/, ''))
    mkdirSync(dirname(file), { recursive: true })
    rmSync(file, { force: true })
    writeFileSync(file, text)
    if (path.endsWith('*')) chmodSync(file, 0o755)
  }
  machine.prepare?.(tree)
  return tree
}

export function kindOf({ device, storage }: Machine): Kind {
  if (storage) return 'storage'
  return device === true ? 'device' : (device ?? 'plain')
}

/** Enables a unit of the machine, in its tree. */
export function enable(root: string, unit: string, target = 'local-fs.target'): void {
  const wants = join(root, `etc/systemd/system/${target}.wants`)
  mkdirSync(wants, { recursive: true })
  symlinkSync(`../${unit}`, join(wants, unit))
}
