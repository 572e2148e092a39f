import { listDirectory, type Root, readBytes, resolveLinks } from './files.js'

/** Where systemd looks for generators: systemd.generator(7). */
const DIRECTORIES = [
  '/run/systemd/system-generators',
  '/etc/systemd/system-generators',
  '/usr/local/lib/systemd/system-generators',
  '/usr/lib/systemd/system-generators',
]

/** They make services: podman-systemd.unit(5). Too large to be read. */
const WITHOUT_MOUNTS = ['podman-system-generator']

/**
 * The generators that may make mount units of which nothing else tells: not systemd's own, whose rules are
 * known here (fstab, partitions by type), and not those whose file does not have the text `.mount`. Sorted.
 * If several directories have the same name, the first one counts; a link to /dev/null masks it.
 */
export function readOtherGenerators(root: Root): string[] {
  const found = new Map<string, string>()
  for (const directory of DIRECTORIES)
    for (const name of names(root, directory)) if (!found.has(name)) found.set(name, `${directory}/${name}`)
  return [...found]
    .filter(([name, path]) => {
      const isKnown = /^(?:systemd-|hostext-)/.test(name) || WITHOUT_MOUNTS.includes(name)
      return !isKnown && mentionsMounts(root, path)
    })
    .map(([name]) => name)
    .sort()
}

/** One that cannot be read may do anything. */
function mentionsMounts(root: Root, path: string): boolean {
  const file = resolveLinks(root, path)
  if (file === '/dev/null') return false
  const bytes = readBytes(root, file)
  return bytes instanceof Error || (bytes?.includes('.mount') ?? false)
}

function names(root: Root, directory: string): string[] {
  try {
    return listDirectory(root, directory)
  } catch {
    // systemd cannot read it either.
    return []
  }
}
