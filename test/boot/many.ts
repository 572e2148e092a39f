import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached } from './cache.js'
import { type Builder, withEngine, writeContext } from './engine.js'
import { containerDirectory, FEATURE } from './extensions.js'

/** The most layers that an engine builds for an image (its maxLayerDepth). */
const MOST_LAYERS = 125

/** The name, of 250 characters, of one of the many. */
export const LONG_NAME = 'long-'.padEnd(250, '0123456789')

/**
 * A data root with `count` extensions. The image of `most-layers` has as many layers as the engine builds,
 * one extension is called LONG_NAME, and the others (`many-000` and so on) are containers of one image that
 * ships /usr/share/many/file. Of ten of these, eight have the feature label, one overrides (with falling
 * priority by number), and one is class=overlay.
 */
export function manyDataRoot(count: number): string {
  if (count < 2) throw new Error('many are at least two')
  const recipe = [String(count), readFileSync(import.meta.filename, 'utf8')]
  const directory = cached(`engine-many-${count}`, recipe.join('\n'), (made) => {
    withEngine(join(made, 'docker'), ({ docker, build }) => {
      const make = (builder: Builder, name: string, dockerfile: string) => {
        const context = mkdtempSync(join(made, 'context-'))
        writeContext(context, { name, dockerfile, files: { file: `from ${name}\n` } })
        build(builder, `${name}:1`, context)
        rmSync(context, { recursive: true })
      }
      make('buildkit', 'many', 'FROM scratch\nCOPY file /usr/share/many/file\n')
      const steps = Array.from({ length: MOST_LAYERS }, (_, n) => `COPY file /usr/share/most-layers/${n}\n`)
      make('classic', 'most-layers', `FROM scratch\n${FEATURE}\n${steps.join('')}`)
      const create = (name: string, image: string, labels: string[]) =>
        docker(
          'create',
          '--name',
          name,
          ...labels.flatMap((label) => ['--label', label]),
          `${image}:1`,
          '/none',
        )
      create('most-layers', 'most-layers', [])
      create(LONG_NAME, 'many', labelsOf(0))
      for (let n = 0; n < count - 2; n++) create(nameOf(n), 'many', labelsOf(n))
    })
  })
  return join(directory, 'docker')
}

/**
 * The names of the extensions beyond the 499 that fit: the last ones, by name, with class=overlay and no
 * override.
 */
export function surplus(count: number): string[] {
  const lowest = Array.from({ length: count - 2 }, (_, n) => n).filter((n) => n % 10 === 9)
  return lowest.slice(lowest.length - Math.max(0, count - 499)).map(nameOf)
}

const nameOf = (n: number): string => `many-${String(n).padStart(3, '0')}`

function labelsOf(n: number): string[] {
  if (n % 10 === 8) return ['io.balena.image.class=overlay', `io.balena.image.override=${10_000 - n}`]
  if (n % 10 === 9) return ['io.balena.image.class=overlay']
  return ['io.balena.features.host-extension=1']
}

/**
 * Adds layers to the image of `most-layers`, in the driver's format, until it has `count`. The storage driver
 * accepts one more than the engine builds: 128 with the container's own. Each has a file
 * /usr/share/most-layers/added-N.
 */
export function deepen(data: string, count: number): void {
  const id = basename(containerDirectory(data, 'most-layers'))
  const mountId = readFileSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id'), 'utf8')
  const file = join(data, 'overlay2', mountId, 'lower')
  const [init, ...image] = readFileSync(file, 'utf8').split(':')
  for (let n = 0; image.length < count; n++) {
    const layer = n.toString(16).padStart(64, 'f')
    const shortName = `l/${String(n).padStart(26, 'X')}`
    const directory = join(data, 'overlay2', layer, 'diff/usr/share/most-layers')
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `added-${n}`), 'from added\n')
    symlinkSync(`../${layer}/diff`, join(data, 'overlay2', shortName))
    image.unshift(shortName)
  }
  writeFileSync(file, [init, ...image].join(':'))
}
