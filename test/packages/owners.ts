import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Fact } from './facts.js'
import type { PackageSet } from './sets.js'

/** Which of the packages tried a fact is about; undefined if that is not known. */
export type OwnerOf = (fact: Fact) => string | undefined

/**
 * Reads from the database of dpkg at `root` what belongs to which package tried: its own files, and those of
 * the packages that were added for it, `added`. What the root `base` has belongs to nobody.
 */
export function readOwners(root: string, base: string, set: PackageSet, added: readonly string[]): OwnerOf {
  const info = join(root, 'var/lib/dpkg/info')
  const triedOf = closures(root, set, added)
  const byPath = new Map<string, string>()
  const byName = new Map<string, string>()
  const scripts: [string, string][] = []
  for (const file of readdirSync(info)) {
    const [, name = '', kind = ''] = /^([^:]+?)(?::[^.]+)?\.(list|postinst|preinst)$/.exec(file) ?? []
    const tried = triedOf.get(name)
    if (tried === undefined) continue
    const text = readFileSync(join(info, file), 'utf8')
    if (kind !== 'list') {
      scripts.push([tried, text])
      continue
    }
    for (const path of text.split('\n')) {
      const place = path.replace(/^\/(bin|lib|sbin)\//, '/usr/$1/')
      if (existsSync(join(base, place))) continue
      if (!byPath.has(place)) byPath.set(place, tried)
      if (/\/systemd\/system\/|\/init\.d\/|\.so\.?[^/]*$/.test(place)) byName.set(basename(place), tried)
      if (place.includes('/sysusers.d/')) scripts.push([tried, readFileSync(join(root, place), 'utf8')])
    }
  }
  return ({ subject, kind }) => {
    const [what, name = ''] = subject.split(' ', 2)
    if (what === 'package') return name
    if (what === 'user' || what === 'group')
      return scripts.find(([, text]) => new RegExp(`(?<![\\w-])${quoteMeta(name)}(?![\\w-])`).test(text))?.[0]
    if (subject.startsWith('/')) return owning(byPath, subject)
    // nginx.service, its instance of a template, or the unit made of its init script.
    const template = subject.replace(/@.*\./, '@.')
    const script = kind === 'seen' ? '' : subject.replace(/\.service$/, '')
    return byName.get(subject) ?? byName.get(template) ?? byName.get(script)
  }
}

function quoteMeta(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The owner of a path, or of the nearest directory above it that belongs to a package. */
function owning(byPath: ReadonlyMap<string, string>, path: string): string | undefined {
  const parent = path.slice(0, path.lastIndexOf('/'))
  return byPath.get(path) ?? (parent === '' ? undefined : owning(byPath, parent))
}

/** The package tried that each added package is there for: the first one that needs it. */
function closures(root: string, { packages }: PackageSet, added: readonly string[]): Map<string, string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
  const format = '${Package}\\t${Depends}, ${Pre-Depends}\\n'
  const words = [`--admindir=${join(root, 'var/lib/dpkg')}`, '-W', '-f', format]
  const needs = new Map(
    execFileSync('dpkg-query', words, { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.split('\t') as [string, string?])
      .map(([name, text = '']) => [
        name,
        text.split(/[,|]/).map((each) => each.trim().split(/[ :(]/)[0] ?? ''),
      ]),
  )
  const isAdded = new Set(added)
  const owners = new Map<string, string>()
  for (const { name, with: more = [] } of packages) for (const each of [name, ...more]) owners.set(each, name)
  for (const { name, with: more = [] } of packages) {
    const visit = (each: string): void => {
      for (const need of needs.get(each) ?? []) {
        if (!isAdded.has(need) || owners.has(need)) continue
        owners.set(need, name)
        visit(need)
      }
    }
    for (const each of [name, ...more]) visit(each)
  }
  return owners
}
