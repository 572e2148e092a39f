import { simplifyPath } from '../text/path.js'
import { cut, oneLine } from '../text/printable.js'

/** A line of passwd(5). Its password is never read. */
export type User = { name: string; uid: number; gid: number; gecos: string; home: string; shell: string }
/** A line of group(5). */
export type Group = { name: string; gid: number; members: string[] }
export type Accounts = { users: User[]; groups: Group[] }

/** IDs by name. The names are from images: look them up with Object.hasOwn(). */
export type Ids = { users: Record<string, number>; groups: Record<string, number> }

export type Assignment = {
  /** The IDs of the image that are others in the root. All others stay. */
  uids: [from: number, to: number][]
  gids: [from: number, to: number][]
  /** The IDs of all names of the image that the base root does not have, to be remembered. */
  given: Ids
  /** A file for sysusers.d(5) that creates what the base root lacks; empty if it lacks nothing. */
  sysusers: string
  /**
   * Users and groups that cannot be created, because systemd-sysusers would refuse their name, or because
   * another one before them has the same ID. Nothing that runs as them starts.
   */
  leftOut: { users: string[]; groups: string[] }
}

/** More than any image or machine has: the machines of a big directory have their users in LDAP. */
const MOST_LINES = 20_000
const LONGEST_LINE = 1 << 16

/**
 * Reads the text of passwd(5) and group(5). Lines that are not in their format, lines of NIS (`+user`) and
 * lines that are too long are skipped. Of several lines with the same name the first one counts, as in
 * getpwnam(3). Throws an Error if there are too many lines: an ID that is not read would look free.
 */
export function parseAccounts(passwd: string, group: string): Accounts {
  return {
    users: parseLines(passwd, 7, ([name, , uid, gid, gecos, home, shell]) => ({
      name,
      uid: parseId(uid),
      gid: parseId(gid),
      gecos,
      home,
      shell,
    })).filter((user): user is User => user.uid !== undefined && user.gid !== undefined),
    groups: parseLines(group, 4, ([name, , gid, members]) => ({
      name,
      gid: parseId(gid),
      members: [...new Set(members.split(','))].filter(isName),
    })).filter((group): group is Group => group.gid !== undefined),
  }
}

/** The fields of a line, by their number. A line with another number of fields is not parsed. */
type Fields = [string, string, string, string, string, string, string]

function parseLines<T>(text: string, fields: number, parse: (fields: Fields) => T): T[] {
  const parsed = new Map<string, T>()
  const lines = text.split('\n', MOST_LINES + 1)
  if (lines.length > MOST_LINES) throw new Error(`more than ${MOST_LINES} lines`)
  for (const line of lines) {
    if (line.length > LONGEST_LINE) continue
    const parts = line.split(':', fields + 1)
    const name = parts[0] as string
    if (parts.length === fields && isName(name) && !parsed.has(name)) parsed.set(name, parse(parts as Fields))
  }
  return [...parsed.values()]
}

/**
 * Whether this can be a name at all. A machine may have names that cannot be created here, such as
 * `john.doe`: their IDs are taken.
 */
function isName(name: string): boolean {
  return name.length <= 255 && /^[^\s:,/#+-][^\s:,/]*$/.test(name) && oneLine(name) === name
}

/**
 * Whether systemd-sysusers creates a user or group of this name (valid_user_group_name() of systemd 252 to
 * 262, strict). A single name that it refuses makes it refuse the whole file, and every other one.
 */
function canBeCreated(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_-]{0,30}$/.test(name)
}

const ROOT = 0
/** nobody and nogroup: a file of this owner belongs to nobody that can be named (user_namespaces(7)). */
const NOBODY = 65534

/** A number that can be an ID: uid_is_valid() of systemd. 65535 and 4294967295 stand for "no ID". */
function parseId(text: string): number | undefined {
  const id = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN
  return isId(id) ? id : undefined
}

function isId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) < 0xffff_ffff && id !== 0xffff
}

/**
 * Gives every user and group of an image its ID in the root, by its name:
 *
 * - the ID that the base root has for the name; else
 * - the ID that the machine has for it beyond its base root (`existing`): in a persistent /etc; else
 * - the ID that an earlier preparation gave the name (`remembered`), unless the machine has given it to
 *   another one since; else
 * - the ID it has in the image, if neither the machine nor `remembered` have it for another name; else
 * - a free system ID, like systemd-sysusers: the highest, and the same for a user and its group if possible.
 *
 * 0 and 65534 stay what they are, and no name gets 0. An ID without a name stays a number. Throws an Error if
 * there is no free ID, or if the image has more users and groups than anyone needs.
 */
export function assignIds(
  image: Accounts,
  base: Accounts,
  remembered: Ids,
  existing: Ids = { users: {}, groups: {} },
): Assignment {
  const baseUsers = new Map(base.users.map(({ name, uid }) => [name, uid]))
  const baseGroups = new Map(base.groups.map(({ name, gid }) => [name, gid]))
  const leftOut: Assignment['leftOut'] = { users: [], groups: [] }
  const users = withOwnId(
    image.users.map((user) => ({ ...user, id: user.uid })),
    baseUsers,
    leftOut.users,
  )
  const ownGroups = withOwnId(
    image.groups.map((group) => ({ ...group, id: group.gid })),
    baseGroups,
    leftOut.groups,
  )
  const groups = withPrimaryGroups(ownGroups, users, baseGroups)

  const uids = settle(users, baseUsers, existing.users, remembered.users)
  const gids = settle(groups, baseGroups, existing.groups, remembered.groups)
  giveFree(uids, gids)

  const newGroups = groups.filter(isNew(baseGroups, gids))
  // The first name of an ID counts, as in getgrgid(3).
  const groupNames = new Map(
    [...baseGroups, ...newGroups.map(({ name }): [string, number] => [name, gids.ids.get(name) as number])]
      .filter(([name]) => canBeCreated(name))
      .map(([name, gid]): [number, string] => [gid, name])
      .reverse(),
  )
  const ownNames = new Map(groups.map(({ id, name }) => [id, name]))
  /** The name, in the root, of the group that has the user's GID in the image, or else the user's name. */
  const groupOf = ({ name, gid }: User): string | undefined =>
    groupNames.get(gid === ROOT ? ROOT : (gids.ids.get(ownNames.get(gid) ?? name) as number))
  const newUsers = users.filter(isNew(baseUsers, uids)).filter((user) => {
    if (groupOf(user) !== undefined) return true
    leftOut.users.push(user.name)
    return false
  })

  const lines = newGroups.map(({ name }) => `g ${name} ${gids.ids.get(name)}`)
  for (const user of newUsers) {
    // The group by its name: with a number, a group that has the user's name is taken instead (252 to 262).
    const id = `${uids.ids.get(user.name)}:${groupOf(user)}`
    lines.push(
      `u ${user.name} ${id} ${gecosField(user.gecos)} ${pathField(user.home)} ${pathField(user.shell)}`,
    )
  }
  lines.push(...memberLines())
  if (lines.length > MOST_CREATED)
    throw new Error(`more than ${MOST_CREATED} users, groups and members to create`)
  return {
    uids: changed(users, uids),
    gids: changed(groups, gids),
    given: { users: givenBy(uids), groups: givenBy(gids) },
    sysusers: lines.length > 0 ? `${HEADER}\n${lines.join('\n')}\n` : '',
    leftOut,
  }

  function memberLines(): string[] {
    const isNewUser = new Set(newUsers.map(({ name }) => name))
    const isNewGroup = new Set(newGroups.map(({ name }) => name))
    const known = new Map(users.map((user) => [user.name, user]))
    const baseMembers = new Map(base.groups.map(({ name, members }) => [name, new Set(members)]))
    return groups.flatMap(({ name: group, members }) =>
      members
        .filter((member) => {
          const user = known.get(member)
          if (!user || uids.ids.get(member) === ROOT) return false
          if (!canBeCreated(member) || !canBeCreated(group)) return false
          // The administrator decides who of the base root is in which group of the base root.
          if (isNewUser.has(member)) {
            if (!isNewGroup.has(group) && !baseGroups.has(group)) return false
            if (groupOf(user) === group) return false
          } else if (!baseUsers.has(member) || !isNewGroup.has(group)) return false
          return !baseMembers.get(group)?.has(member)
        })
        .map((member) => `m ${member} ${group}`),
    )
  }
}

const HEADER = "# Made by hostext from the image's /etc/passwd and /etc/group."
/** systemd-sysusers looks up each of them in a list of all, in every boot. */
const MOST_CREATED = 5000

type Named = { name: string; id: number }

/** Whether a name, which has the ID `there` in the base root, can have one other than 0. */
function canHaveId(name: string, there: number | undefined): boolean {
  return name !== 'root' && there !== ROOT && (there !== undefined || canBeCreated(name))
}

/**
 * Leaves out whom another one's files would belong to, whom nothing can create, and who would become root.
 */
function withOwnId<T extends Named>(accounts: T[], base: Map<string, number>, leftOut: string[]): T[] {
  const ids = new Set<number>()
  return accounts.filter(({ name, id }) => {
    const there = base.get(name)
    if (!ids.has(id) && (id === ROOT || canHaveId(name, there))) {
      ids.add(id)
      return true
    }
    if (there === undefined && id !== ROOT) leftOut.push(name)
    return false
  })
}

/** The groups, and one of its own name for each user whose group has no name. */
function withPrimaryGroups(
  groups: readonly (Group & Named)[],
  users: readonly User[],
  base: Map<string, number>,
): (Group & Named)[] {
  const all = [...groups]
  const gids = new Set(groups.map(({ gid }) => gid)).add(ROOT)
  const names = new Set(groups.map(({ name }) => name))
  for (const { name, gid } of users) {
    if (gids.has(gid) || names.has(name) || !canHaveId(name, base.get(name))) continue
    all.push({ name, gid, id: gid, members: [] })
    gids.add(gid)
    names.add(name)
  }
  return all
}

/** The users or the groups: their IDs as far as they are known, and who still has none. */
type Space = {
  ids: Map<string, number>
  /** The names that the base root has, and those whose ID never changes. */
  fixed: Set<string>
  open: string[]
  /** Every ID of the machine, of `remembered` and of the image. */
  taken: Set<number>
}

function settle(
  image: readonly Named[],
  base: Map<string, number>,
  existing: Record<string, number>,
  remembered: Record<string, number>,
): Space {
  const owned = new Set(base.values()).add(ROOT).add(NOBODY)
  const kept = new Map<string, number>()
  for (const [name, id] of Object.entries(existing)) {
    if (base.has(name) || id === ROOT || id === NOBODY) continue
    // Whoever else has it: this one is there, and has its files.
    kept.set(name, id)
    owned.add(id)
  }
  for (const [name, id] of Object.entries(remembered)) {
    if (!isId(id) || base.has(name) || kept.has(name) || owned.has(id)) continue
    kept.set(name, id)
    owned.add(id)
  }
  const space: Space = { ids: new Map(), fixed: new Set(), open: [], taken: new Set(owned) }
  for (const { name, id } of image) {
    space.taken.add(id)
    const fixed = id === ROOT || id === NOBODY ? id : base.get(name)
    if (fixed !== undefined) space.fixed.add(name)
    const known = fixed ?? kept.get(name)
    if (known !== undefined) space.ids.set(name, known)
    else if (owned.has(id)) space.open.push(name)
    else space.ids.set(name, id)
  }
  return space
}

/** SYSTEM_UID_MAX and SYSTEM_ALLOC_UID_MIN of login.defs(5) on most systems. */
const HIGHEST_FREE = 999
const LOWEST_FREE = 100

function giveFree(uids: Space, gids: Space): void {
  let next = HIGHEST_FREE
  const give = (space: Space, other: Space, name: string): void => {
    let id = other.ids.get(name)
    if (id === undefined || space.taken.has(id)) {
      while (uids.taken.has(next) || gids.taken.has(next)) next--
      if (next < LOWEST_FREE) throw new Error(`no system ID is free for ${name}`)
      id = next
    }
    space.ids.set(name, id)
    space.taken.add(id)
  }
  for (const name of uids.open) give(uids, gids, name)
  for (const name of gids.open) give(gids, uids, name)
}

/** Whether the base root lacks a user or a group. (A second name for root or for nobody is no new one.) */
function isNew(base: Map<string, number>, { ids }: Space): (account: Named) => boolean {
  const hasNobody = [...base.values()].includes(NOBODY)
  return ({ name }) => {
    const id = ids.get(name)
    return !base.has(name) && id !== ROOT && !(id === NOBODY && hasNobody)
  }
}

function changed(image: readonly Named[], { ids }: Space): [number, number][] {
  return image.flatMap(({ name, id }): [number, number][] => {
    const to = ids.get(name) as number
    return to === id ? [] : [[id, to]]
  })
}

function givenBy({ ids, fixed }: Space): Record<string, number> {
  return Object.fromEntries([...ids].filter(([name]) => !fixed.has(name)))
}

/**
 * Text for systemd-sysusers: one word in quotes, in which a backslash escapes the next character, and then
 * `%` starts a specifier (sysusers.d(5)).
 */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`
}

/** A name for people to read. Characters that a terminal would obey, or that nobody sees, are dropped. */
function gecosField(gecos: string): string {
  const text = [...cut(gecos, 200)].filter((character) => oneLine(character) === character).join('')
  return text === '' ? '-' : quoted(text)
}

/** A path, or `-` for the default if it would be refused, and the whole file with it. */
function pathField(path: string): string {
  const simple = simplifyPath(path)
  if (
    !path.startsWith('/') ||
    path.length > 255 ||
    simple.split('/').includes('..') ||
    oneLine(path) !== path
  )
    return '-'
  return /^[A-Za-z0-9/._-]+$/.test(simple) ? simple : quoted(simple)
}
