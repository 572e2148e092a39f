/**
 * Images at random: layers that the kernel made, as the archives that engines make of them, show what the
 * kernel shows.
 */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readDirectory } from '../../../src/check/directory.js'
import { Layer, stackLayer } from '../../../src/check/layer.js'
import { type Node, newDirectory, walk } from '../../../src/check/memory.js'
import { TarReader } from '../../../src/check/tar.js'
import { isWhiteout } from '../../../src/machine/files.js'
import { cannotMount } from '../../support/private.js'
import { FIXED_SEED, type Random, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { type TarItem, tarOf } from '../../support/tar.js'
import { makeTree } from '../../support/tree.js'

if (cannotMount) {
  t.pass(cannotMount, { skip: cannotMount })
  process.exit(0)
}

const IMAGES = 12
const NAMES = ['a', 'b', 'c', 'd']

/** One change that a step of a build makes; each may fail, as there may be nothing to change. */
function change(random: Random): string {
  const path = Array.from({ length: 1 + random.number(3) }, () => random.pick(NAMES)).join('/')
  return random.pick([
    `mkdir -p ${path}`,
    `mkdir -p $(dirname ${path}) && echo ${random.number(1000)} >${path}`,
    `rm -rf ${path}`,
    `rm -rf ${path} && mkdir -p ${path}`,
    `rm -rf ${path} && mkdir -p ${path}/${random.pick(NAMES)}`,
    `ln -sfn ${random.pick(NAMES)} ${path}`,
    `chmod 700 ${path}`,
    `mv ${path} ${random.pick(NAMES)}`,
  ])
}

/** Builds images as engines do, each layer upon those below it, and shows each as the kernel merges it. */
const SCRIPT = `cd "$0"
mount -t tmpfs tmpfs /mnt
for image in image-*; do
  lower=
  mkdir -p /mnt/$image/root
  for steps in $image/step-*; do
    n=\${steps##*-}
    mkdir -p /mnt/$image/$n /mnt/$image/w$n /mnt/$image/none
    mount -t overlay overlay -o "lowerdir=\${lower:-/mnt/$image/none},upperdir=/mnt/$image/$n,workdir=/mnt/$image/w$n,redirect_dir=off,metacopy=off" /mnt/$image/root
    (cd /mnt/$image/root; while read -r line; do sh -c "$line" 2>/dev/null || true; done) <$steps
    cp -a /mnt/$image/root $image/shown.new
    rm -rf $image/shown
    mv $image/shown.new $image/shown
    umount /mnt/$image/root
    lower=/mnt/$image/$n\${lower:+:$lower}
    cp -a /mnt/$image/$n $image/layer-$n
    tar --xattrs --xattrs-include='*' -C /mnt/$image/$n -cf $image/tar .
    tar --xattrs --xattrs-include='*' -tvvf $image/tar | awk '/trusted.overlay.opaque/ { print last } { last = $NF }' >$image/opaque-$n
  done
done`

/** The archive that an engine makes of a layer of overlayfs. `opaque`: the directories that are. */
function archiveOf(layer: string, opaque: ReadonlySet<string>): TarItem[] {
  const items: TarItem[] = []
  const read = (path: string): void => {
    for (const name of readdirSync(join(layer, path)).sort()) {
      const below = path === '' ? name : `${path}/${name}`
      const stat = lstatSync(join(layer, below))
      const mode = stat.mode & 0o7777
      if (isWhiteout(stat)) items.push({ name: path === '' ? `.wh.${name}` : `${path}/.wh.${name}` })
      else if (stat.isSymbolicLink())
        items.push({ name: below, type: '2', mode, target: readlinkSync(join(layer, below)) })
      else if (stat.isFile()) items.push({ name: below, mode, text: Buffer.alloc(stat.size) })
      else {
        items.push({ name: `${below}/`, type: '5', mode })
        if (opaque.has(below)) items.push({ name: `${below}/.wh..wh..opq` })
        read(below)
      }
    }
  }
  read('')
  return items
}

function list(top: Node): string[] {
  const found: string[] = []
  walk(
    top,
    (path, { mode, target, size, children }) =>
      void found.push(`${path} ${mode.toString(8)} ${children ? '' : (target ?? size)}`),
  )
  return found.sort()
}

for (const seed of [FIXED_SEED, ROTATING_SEED])
  t.test(`seed ${seed}`, async (t) => {
    const random = seeded(seed)
    const work = makeTree(t)
    for (let image = 0; image < IMAGES; image++) {
      const directory = join(work, `image-${image}`)
      mkdirSync(directory)
      for (let layer = 0; layer < 2 + random.number(4); layer++) {
        const lines = Array.from({ length: 1 + random.number(12) }, () => change(random))
        writeFileSync(join(directory, `step-${layer}`), `${lines.join('\n')}\n`)
      }
    }
    execFileSync('unshare', ['-m', 'sh', '-ec', SCRIPT, work], { stdio: ['ignore', 'ignore', 'inherit'] })
    let whiteouts = 0
    let opaques = 0
    for (let image = 0; image < IMAGES; image++) {
      const directory = join(work, `image-${image}`)
      const top = newDirectory()
      for (const name of readdirSync(directory)
        .filter((name) => name.startsWith('layer-'))
        .sort()) {
        const lines = execFileSync('cat', [join(directory, name.replace('layer', 'opaque'))], {
          encoding: 'utf8',
        })
        const opaque = new Set(lines.split('\n').map((line) => line.replace(/^\.\//, '').replace(/\/$/, '')))
        const items = archiveOf(join(directory, name), opaque)
        whiteouts += items.filter(({ name }) => /\.wh\.[a-d]$/.test(name)).length
        opaques += items.filter(({ name }) => name.endsWith('.wh..wh..opq')).length
        const layer = new Layer('it', () => undefined)
        const reader = new TarReader('it', (entry) => layer.take(entry))
        reader.push(tarOf(items))
        if (items.length > 0) reader.end()
        stackLayer(top, layer.top)
      }
      const shown = readDirectory(join(directory, 'shown'), false).top
      t.same(list(top), list(shown), `image ${image}`)
    }
    // Of another seed, only what it makes counts.
    if (seed === FIXED_SEED)
      t.ok(whiteouts > 0 && opaques > 0, `${whiteouts} whiteouts, ${opaques} opaque directories`)
  })
