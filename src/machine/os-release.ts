import { type Root, readText } from './files.js'

/** What os-release(5) says about the system, as far as it matters here. A missing field is undefined. */
export type OsRelease = {
  id: string | undefined
  versionId: string | undefined
  /** `NAME=value` of each field that is there and tells one build of the system from another. */
  build: string[]
}

/** The fields that an update of the same version changes: os-release(5); the last one is OSTree's. */
const BUILD_FIELDS = ['VERSION', 'VARIANT_ID', 'BUILD_ID', 'IMAGE_ID', 'IMAGE_VERSION', 'OSTREE_VERSION']

/** Reads the first of the two files that can be read: os-release(5). Never throws. */
export function readOsRelease(root: Root): OsRelease {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    const text = readText(root, path, 64 << 10)
    if (typeof text === 'string') return parseOsRelease(text)
  }
  return { id: undefined, versionId: undefined, build: [] }
}

/** Parses the text of an os-release(5) file. Later assignments win, as in a shell. */
export function parseOsRelease(text: string): OsRelease {
  const lines = text.split('\n')
  const field = (name: string): string | undefined => {
    const line = lines.findLast((line) => line.startsWith(`${name}=`))
    const value = line?.slice(name.length + 1).trim()
    return value === undefined ? undefined : (/^(["'])(.*)\1$/.exec(value)?.[2] ?? value)
  }
  const build = BUILD_FIELDS.flatMap((name) => {
    const value = field(name)
    return value === undefined ? [] : `${name}=${value}`
  })
  return { id: field('ID'), versionId: field('VERSION_ID'), build }
}

/** The name and version of a system: `debian 12`. Empty if it has neither. */
export function nameOf({ id = '', versionId = '' }: Pick<OsRelease, 'id' | 'versionId'>): string {
  return `${id} ${versionId}`.trim()
}
