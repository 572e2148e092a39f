import { CHANGES } from '../machine/etc-changes.js'
import { type Root, readText, resolveLinks, statLink } from '../machine/files.js'
import { type Accounts, parseAccounts } from './accounts.js'

/**
 * What the base root has at `path`, as far as a kept tree depends on it: its kind, and for a directory also
 * its owner and mode.
 */
export function describePlace(root: Root, path: string): string {
  const stat = statLink(root, path)
  if (!stat) return 'nothing'
  if (stat.isSymbolicLink()) return `link to ${resolveLinks(root, path)}`
  return stat.isDirectory() ? `directory ${stat.uid}:${stat.gid} ${octal(stat)}` : 'file'
}

/** The permissions as chmod(1) takes them: `0755`. */
export function octal({ mode }: { mode: number }): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

const LARGEST = 4 << 20

/** The users and groups of a root. */
export type RootAccounts = {
  /** Those of the base root itself, the ones below /usr (nss-altfiles) included. */
  own: Accounts
  /** Those that count: with what earlier boots have added to a persistent /etc. */
  all: Accounts
}

/** Reads them. What cannot be read counts as empty. */
export function readAccounts(root: Root): RootAccounts {
  const read = (directory: string, name: string): string | undefined => {
    const text = readText(root, `${directory}/${name}`, LARGEST)
    return typeof text === 'string' ? text : undefined
  }
  const more = (name: string): string => read('/usr/lib', name) ?? ''
  const own = (name: string): string => `${read('/etc', name) ?? ''}\n${more(name)}`
  const all = (name: string): string => {
    const changed = read(`${CHANGES}/upper`, name)
    return changed === undefined ? own(name) : `${changed}\n${more(name)}`
  }
  return {
    own: parseAccounts(own('passwd'), own('group')),
    all: parseAccounts(all('passwd'), all('group')),
  }
}
