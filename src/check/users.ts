import type { Filled } from '../image/fill.js'
import { printable, printableList } from '../text/printable.js'
import type { Compared } from './base.js'
import type { Findings } from './finding.js'
import { findNode, type Node, walk } from './memory.js'

/** A user or a group that a machine gets. */
export type NewAccount = { name: string; id: number | null; from: string }

const NOBODY = 65534

/**
 * The users and groups that a machine gets from the image, and the names of all users that there will be.
 * Names in sysusers.d(5) count as they are written.
 */
export function checkUsers(
  image: Node,
  tree: Node,
  { accounts, assignment }: Filled,
  { base, host }: Compared,
  findings: Findings,
): { users: NewAccount[]; groups: NewAccount[]; names: Set<string> } {
  const users: NewAccount[] = []
  const groups: NewAccount[] = []
  const { users: rootUsers, groups: rootGroups } = base.accounts().all
  // The file that creates them is the one that was made for the tree.
  for (const line of assignment.sysusers.split('\n')) {
    const [, kind, name, id] = /^([ug]) (\S+) (\d+)/.exec(line) ?? []
    if (name === undefined) continue
    const list = kind === 'u' ? users : groups
    list.push({ name, id: Number(id), from: kind === 'u' ? '/etc/passwd' : '/etc/group' })
  }
  for (const directory of ['/usr/lib/sysusers.d', '/lib/sysusers.d', '/etc/sysusers.d'])
    for (const [file, node] of findNode(tree, directory)?.children ?? []) {
      // Ours has those of /etc/passwd.
      if (file.startsWith('00-hostext-') || !node.more?.text) continue
      for (const line of node.more.text.toString('utf8').split('\n')) {
        const [, kind, name] = /^\s*([ug])!?\s+"?([\w.-]+)/.exec(line) ?? []
        if (name === undefined) continue
        const list = kind === 'u' ? users : groups
        const known = kind === 'u' ? rootUsers : rootGroups
        if (list.some((other) => other.name === name) || known.some((other) => other.name === name)) continue
        list.push({ name: printable(name, 60), id: null, from: printable(`${directory}/${file}`, 200) })
      }
    }
  if (host) {
    for (const { name, id, from } of users) {
      const own = accounts.users.find((user) => user.name === name)
      const moved =
        own && id !== null && own.uid !== id ? `; it has ${own.uid} in the image, which is taken` : ''
      findings.add(
        'notice',
        'users',
        'user-created',
        undefined,
        `the user ${name} is created${id === null ? '' : ` with the UID ${id}`} (${from})${moved}`,
      )
    }
    const only = groups.filter(({ name }) => !users.some((user) => user.name === name))
    if (only.length > 0)
      findings.add(
        'notice',
        'users',
        'group-created',
        undefined,
        `groups that are created: ${printableList(only.map(({ name }) => name))}`,
      )
  } else if (users.length + groups.length > 0) {
    const names = [...new Set([...users, ...groups].map(({ name }) => name))]
    findings.add(
      'notice',
      'users',
      'users',
      undefined,
      `users and groups that are created where the root has none of that name: ${printableList(names)}`,
    )
  }
  checkOwners(image, { accounts, base }, findings)
  const names = new Set([...rootUsers, ...accounts.users, ...users].map(({ name }) => name))
  for (const name of assignment.leftOut.users) names.delete(name)
  return { users, groups, names }
}

/** Files of users that have no name: mostly of whoever has packed them. */
function checkOwners(
  image: Node,
  { accounts, base }: { accounts: Filled['accounts']; base: Compared['base'] },
  findings: Findings,
): void {
  const { users, groups } = base.accounts().all
  const uids = new Set([...users, ...accounts.users].map(({ uid }) => uid)).add(0).add(NOBODY)
  const gids = new Set([...groups, ...accounts.groups].map(({ gid }) => gid)).add(0).add(NOBODY)
  const found = new Map<string, { path: string; count: number }>()
  walk(image, (path, { uid, gid }) => {
    if (uids.has(uid) && gids.has(gid)) return
    const owner = `${uid}:${gid}`
    const known = found.get(owner)
    if (known) known.count++
    else found.set(owner, { path, count: 1 })
  })
  for (const [owner, { path, count }] of found)
    findings.add(
      'warning',
      'users',
      'owner-without-name',
      path,
      `it belongs to ${owner}, who has no name in the image or the root${count > 1 ? `, and so do ${count - 1} more files` : ''}: "COPY --chown=0:0"?`,
    )
}
