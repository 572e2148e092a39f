import { mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readLayers } from '../../../src/engine/overlay2.js'
import { copyDataRoot, DATA, find } from '../../support/data-root.js'

t.test('the layers of an image, top first, without what is the container’s', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { id, mountId } = find(data, 'many-layers')
  const layers = readLayers(root, DATA, id)
  t.equal(layers.directory, `${DATA}/overlay2`)
  t.equal(layers.lower.length, 6, 'four COPY and two RUN')
  t.same(
    layers.lower,
    readFileSync(join(data, 'overlay2', mountId, 'lower'), 'utf8')
      .split(':')
      .slice(1),
    'all that the driver stacked but the -init layer',
  )
})

t.test('the layers of both builders, and of images that one has made upon those of the other', async (t) => {
  const { root, data } = copyDataRoot(t, 'builders')
  const kinds = (name: string): string[] =>
    readLayers(root, DATA, find(data, name).id).lower.map((layer) =>
      readlinkSync(join(data, 'overlay2', layer)).replace(/^\.\.\/|\/diff$/g, '').length === 64
        ? 'classic'
        : 'buildkit',
    )
  t.same(kinds('classic'), ['classic'])
  t.same(kinds('buildkit'), ['buildkit'])
  t.same(kinds('classic-upon-buildkit'), ['classic', 'buildkit'])
  t.same(kinds('buildkit-upon-classic'), ['buildkit', 'classic'])
})

t.test('damage is named by file', async (t) => {
  type Place = { data: string; id: string; mountId: string; first: string; layer: string }
  for (const [name, damage, message] of [
    [
      'no mount-id',
      ({ data, id }: Place) => rmSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id')),
      /mount-id: no such file/,
    ],
    [
      'a mount-id that leads elsewhere',
      ({ data, id }: Place) =>
        writeFileSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id'), '../../../etc'),
      /mount-id: not a layer ID/,
    ],
    [
      'no lower',
      ({ data, mountId }: Place) => rmSync(join(data, 'overlay2', mountId, 'lower')),
      /lower: no such file/,
    ],
    [
      'an absolute layer',
      ({ data, mountId }: Place) => writeFileSync(join(data, 'overlay2', mountId, 'lower'), '/etc'),
      /lower: "\/etc" is not the name of a layer/,
    ],
    [
      'an option for mount',
      ({ data, mountId }: Place) =>
        writeFileSync(join(data, 'overlay2', mountId, 'lower'), 'l/A,upperdir=/etc'),
      /is not the name of a layer/,
    ],
    [
      'too many layers',
      ({ data, mountId, first }: Place) =>
        writeFileSync(join(data, 'overlay2', mountId, 'lower'), Array(129).fill(first).join(':')),
      /129 layers, more than 128/,
    ],
    [
      'a link that is gone',
      ({ data, first }: Place) => rmSync(join(data, 'overlay2', first)),
      /l\/[A-Z0-9]{26}: no such file or directory/,
    ],
    [
      'a link out of the data root',
      ({ data, first }: Place) => relink(join(data, 'overlay2', first), '../../../../../etc'),
      /points to "\.\.\/\.\.\/\.\.\/\.\.\/\.\.\/etc", which is not a layer/,
    ],
    ...['../../f5urravc05r1ux5a8eh2t41nk/diff', '../F5URRAVC05R1UX5A8EH2T41NK/diff', '../l/diff'].map(
      (target) =>
        [
          `a link to ${target}`,
          ({ data, first }: Place) => relink(join(data, 'overlay2', first), target),
          /which is not a layer/,
        ] as const,
    ),
    [
      'a link to itself',
      ({ data, first }: Place) => relink(join(data, 'overlay2', first), first.slice(2)),
      /which is not a layer/,
    ],
    [
      'a layer that is gone',
      ({ data, layer }: Place) => rmSync(join(data, 'overlay2', layer), { recursive: true }),
      /overlay2\/[0-9a-f]{64}\/diff: no such directory/,
    ],
    [
      'a diff that is gone',
      ({ data, layer }: Place) => rmSync(join(data, 'overlay2', layer, 'diff'), { recursive: true }),
      /diff: no such directory/,
    ],
    [
      'a diff that is a link',
      ({ data, layer }: Place) => relink(join(data, 'overlay2', layer, 'diff'), '/etc'),
      /diff: not a directory/,
    ],
    [
      'a layer that is a link',
      ({ data, layer }: Place) => relink(join(data, 'overlay2', layer), '/etc'),
      /overlay2\/[0-9a-f]{64}: not a directory/,
    ],
    [
      'a diff that is a file',
      ({ data, layer }: Place) => {
        rmSync(join(data, 'overlay2', layer, 'diff'), { recursive: true })
        writeFileSync(join(data, 'overlay2', layer, 'diff'), '')
      },
      /diff: not a directory/,
    ],
    [
      'an image without layers',
      ({ data, mountId }: Place) => {
        const file = join(data, 'overlay2', mountId, 'lower')
        writeFileSync(file, readFileSync(file, 'utf8').split(':')[0] as string)
      },
      /its image has no layers/,
    ],
    [
      'no -init layer',
      ({ data, mountId }: Place) => {
        const file = join(data, 'overlay2', mountId, 'lower')
        writeFileSync(file, readFileSync(file, 'utf8').split(':').slice(1).join(':'))
      },
      /the -init layer is not among the layers/,
    ],
    [
      'a lower that is a directory',
      ({ data, mountId }: Place) => {
        const file = join(data, 'overlay2', mountId, 'lower')
        rmSync(file)
        mkdirSync(file)
      },
      /not a regular file but a directory/,
    ],
  ] as const) {
    const { root, data } = copyDataRoot(t)
    const { id, mountId } = find(data, 'one-layer')
    const first = readFileSync(join(data, 'overlay2', mountId, 'lower'), 'utf8').split(':')[1] as string
    const layer = readlinkSync(join(data, 'overlay2', first)).split('/')[1] as string
    damage({ data, id, mountId, first, layer })
    t.throws(() => readLayers(root, DATA, id), message, name)
  }
})

function relink(path: string, target: string): void {
  rmSync(path, { recursive: true })
  symlinkSync(target, path)
}
