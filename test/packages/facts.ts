import { createHash } from 'node:crypto'

/**
 * What is true of a machine, as texts that are the same on two machines if they are alike in this:
 *
 * - `runs`: a unit that runs, or has run and succeeded; a request that is answered.
 * - `seen`: what systemd and the loader know: unit files, lines of udev rules, modules-load.d, sysctl.d,
 *   sysusers.d and tmpfiles.d, and what the last two have made; libraries.
 * - `is`: which units are enabled, who is there, who owns what in /etc, /var and /run.
 *
 * `fails`: a unit that has failed. Elsewhere it must not have failed if it has not failed where the packages
 * are installed.
 */
export type Kind = 'runs' | 'seen' | 'is'
export const KINDS: readonly Kind[] = ['runs', 'seen', 'is']

/** `subject`: the unit, path, library, user or package that it is about. */
export type Fact = { kind: Kind | 'fails'; subject: string; text: string }

/** Reports of the guest by key: guest.ts. */
export type Reports = ReadonlyMap<string, string>

/** Names, or ends of names, that are process IDs, times, hashes and the like: others in each boot. */
const PASSING = /(?<=[/.])(?:[0-9a-f]{16}|[0-9.]{2,})(?=$|\/)/g

/** The facts in the reports of one machine, by their texts. */
export function factsOf(reports: Reports): Map<string, Fact> {
  const facts = new Map<string, Fact>()
  const add = (kind: Fact['kind'], subject: string, text: string): void => {
    facts.set(text, { kind, subject, text })
  }
  for (const [unit = '', state = ''] of columns(reports.get('units'))) {
    // An alias is there where the unit is enabled.
    if (state !== 'alias') add('seen', unit, `unit ${unit} is known`)
    if (/^(?:enabled|alias|masked|disabled)/.test(state)) add('is', unit, `unit ${unit} is ${state}`)
  }
  for (const [unit = '', load, active] of columns(reports.get('states'))) {
    if (load !== 'loaded' || /\.(?:mount|device)$/.test(unit)) continue
    if (active === 'active') add('runs', unit, `unit ${unit} runs`)
    if (active === 'failed') add('fails', unit, `unit ${unit} has failed`)
  }
  for (const [unit = ''] of columns(reports.get('started')))
    if (unit.endsWith('.service') && !facts.has(`unit ${unit} has failed`))
      add('runs', unit, `unit ${unit} runs`)
  for (const [key, text] of reports) {
    const name = key.split(':')[1] ?? ''
    if (key.startsWith('request:') && text === 'yes') add('runs', `package ${name}`, `${name} answers`)
    if (key.startsWith('config:'))
      for (const { path, hash } of sections(text)) add('seen', path, `${name}: ${path} (${hash})`)
  }
  for (const [subject, text] of effects(reports)) add('seen', subject, text)
  for (const library of (reports.get('libraries') ?? '').split('\n'))
    if (library !== '') add('seen', library, `library ${library}`)
  for (const [kind, subject, text] of accounts(reports)) add(kind, subject, text)
  for (const line of (reports.get('files') ?? '').split('\n')) {
    const [, what, path] = /^(\S+ \S+ \S+) (\/.*)$/.exec(line) ?? []
    if (what !== undefined && path !== undefined) add('is', path, `${path.replace(PASSING, '*')}: ${what}`)
  }
  return facts
}

/** The columns of the lines of systemctl(1). */
function columns(text = ''): string[][] {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => line.trim().split(/\s+/))
}

/** The files in the output of `systemd-analyze cat-config`, with a hash of what they say. */
function sections(text: string): { path: string; hash: string }[] {
  return text.split(/^# (?=\/(?:etc|run|usr|lib)\/)/m).flatMap((section) => {
    const end = section.indexOf('\n')
    const path = section.slice(0, end).replace(/^\/lib\//, '/usr/lib/')
    if (!path.startsWith('/')) return []
    const lines = section
      .slice(end)
      .split('\n')
      .filter((line) => !/^\s*(?:[#;]|$)/.test(line))
    const hash = createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 8)
    return [{ path, hash }]
  })
}

/** The users of sysusers.d and the directories of tmpfiles.d that are there. */
function effects(reports: Reports): [subject: string, text: string][] {
  const has = (key: string, line: RegExp): Set<string | undefined> =>
    new Set((reports.get(key) ?? '').split('\n').map((text) => line.exec(text)?.[1]))
  const [users, paths] = [has('passwd', /^([^:]+):/), has('files', /^d \S+ \S+ (.*)$/)]
  const wantedUsers = has('config:sysusers.d', /^u!?\s+(\S+)/)
  const wantedPaths = has('config:tmpfiles.d', /^[dDvqQ]\S*\s+(\/\S+)/)
  return [
    ...[...wantedUsers]
      .filter((name) => name !== undefined && users.has(name))
      .map((name): [string, string] => [`user ${name}`, `sysusers.d: user ${name} exists`]),
    ...[...wantedPaths]
      .map((path) => path?.replace(/^\/var\/run\//, '/run/').replace(/\/$/, ''))
      .filter((path) => path !== undefined && paths.has(path))
      .map((path): [string, string] => [path as string, `tmpfiles.d: ${path} exists`]),
  ]
}

/** Users with their groups, and groups with their members. IDs may differ, names may not. */
function accounts(reports: Reports): [Kind, string, string][] {
  const groups = (reports.get('group') ?? '').split('\n').map((line) => line.split(':'))
  const users = (reports.get('passwd') ?? '').split('\n').map((line) => line.split(':'))
  const nameOf = new Map(groups.map(([name, , gid]) => [gid, name]))
  return [
    ...users.map(([name = '', , , gid, , home, shell]): [Kind, string, string] => {
      return ['is', `user ${name}`, `user ${name}: group ${nameOf.get(gid)}, ${home}, ${shell}`]
    }),
    ...groups.map(([name = '', , , members = '']): [Kind, string, string] => {
      return ['is', `group ${name}`, `group ${name}: ${members.split(',').sort().join(' ')}`]
    }),
  ].filter(([, subject]) => !subject.endsWith(' ')) as [Kind, string, string][]
}
