/** How bad a finding is: an image with an error does not do what it is for. */
export const LEVELS = ['error', 'warning', 'notice'] as const
export type FindingLevel = (typeof LEVELS)[number]

/** What findings are about, in the order in which they are shown. */
export const GROUPS = [
  'labels',
  'machine',
  'root files',
  'files',
  'users',
  'state',
  'units',
  'modules',
  'privileges',
] as const
export type Group = (typeof GROUPS)[number]

/** One thing that the author of an image should know. */
export type Finding = {
  level: FindingLevel
  group: Group
  /** What kind of finding it is: a word that does not change. */
  code: string
  /** A path, or the name of a label; undefined if it is neither. Unchecked text. */
  path?: string
  /** The rest: one line of printable characters. */
  text: string
}

/** The most findings with one code: more are only counted. */
const MOST_OF_ONE = 200

/** Findings as they are collected. */
export class Findings {
  private readonly all: Finding[] = []
  private readonly counts = new Map<string, number>()

  add(level: FindingLevel, group: Group, code: string, path: string | undefined, text: string): void {
    const key = `${group}\0${code}\0${level}`
    const count = (this.counts.get(key) ?? 0) + 1
    this.counts.set(key, count)
    if (count > MOST_OF_ONE) return
    this.all.push(path === undefined ? { level, group, code, text } : { level, group, code, path, text })
  }

  /** In the order of their groups and levels, and in each as they were added. */
  sorted(): Finding[] {
    const more = [...this.counts].flatMap(([key, count]): Finding[] => {
      if (count <= MOST_OF_ONE) return []
      const [group, code, level] = key.split('\0') as [Group, string, FindingLevel]
      return [{ level, group, code, text: `${count - MOST_OF_ONE} more of this kind (${code})` }]
    })
    const rank = ({ group, level }: Finding): number =>
      GROUPS.indexOf(group) * LEVELS.length + LEVELS.indexOf(level)
    return [...this.all, ...more].sort((a, b) => rank(a) - rank(b))
  }
}
