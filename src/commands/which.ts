import { inputRoot } from '../machine/files.js'
import { mountOf } from '../machine/mountinfo.js'
import { describeReported } from '../report/boot-report.js'
import { findLayers, type Layer } from '../report/layers.js'
import { findMounted } from '../report/mounted.js'
import { readDisk } from '../report/next-boot.js'
import { table } from '../report/table.js'
import { readThisBoot } from '../report/this-boot.js'
import { find, withoutLinks } from '../report/which.js'
import { type Answer, type Call, UsageError } from './answer.js'

/** `hostext which PATH`: who provides a file of the root, and what stands below it. */
export function showWhich({ root, environment, words: [word = ''], screen }: Call): Answer {
  if (!word.startsWith('/')) throw new UsageError('which: PATH is absolute: /usr/bin/ip')
  const live = inputRoot(environment)
  const now = readThisBoot(live)
  const report = now?.root === 'stacked' ? now : readDisk(root, environment).next
  const layers = findLayers(environment, report)
  const path = withoutLinks(layers, word)
  const mount = now ? mountOf(findMounted(live), path) : undefined
  const found = find(layers, path)
  const document = {
    path,
    mount: mount ? { mountPoint: mount.mountPoint, type: mount.type, source: mount.source } : null,
    providers: found.map(({ layer, kind, target, isSeen }) => ({
      ...{ layer: layer.kind, name: layer.extension?.name ?? null, image: layer.extension?.image ?? null },
      ...{ kind, target, seen: isSeen && !mount },
    })),
  }
  const rows = found.map(({ layer, kind, target, isSeen }) => ({
    '': isSeen && !mount ? '*' : '',
    'what is there': kind,
    'by whom': describeLayer(layer) + (target === null ? '' : ` -> ${target}`),
  }))
  const isThere = mount !== undefined || found.some(({ kind, isSeen }) => isSeen && kind !== 'deleted')
  return {
    document,
    lines: [
      ...(path === word ? [] : [`${word} is ${path}`]),
      ...(mount ? [`${path} is on ${mount.mountPoint} (${mount.type}): no extension shows there`] : []),
      ...(found.length > 0 ? table(rows, screen) : [`nobody has ${path}`]),
    ],
    status: isThere ? 0 : 1,
  }
}

function describeLayer({ kind, extension }: Layer): string {
  if (extension) return describeReported(extension)
  return kind === 'base' ? 'the root' : 'changed on this machine'
}
