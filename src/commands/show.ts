import { inputRoot } from '../machine/files.js'
import { type BootReport, describeReported, type ReportedExtension } from '../report/boot-report.js'
import { describeRank } from '../report/difference.js'
import { type Effects, findEffects, type Paths } from '../report/effects.js'
import { readLabels } from '../report/labels.js'
import { findLayers, type Layer } from '../report/layers.js'
import { list } from '../report/listed.js'
import { findMounted } from '../report/mounted.js'
import { readDisk } from '../report/next-boot.js'
import { readFacts } from '../report/notes.js'
import { field, type Line } from '../report/screen.js'
import { readThisBoot } from '../report/this-boot.js'
import type { Answer, Call } from './answer.js'
import { size } from './list.js'

/** The most paths of each kind that people see; `--all` shows more. */
const MOST_SHOWN = 12

/** `hostext show NAME`: what an extension is, and what it does in the root. */
export function showExtension({ root, environment, words: [name = ''], options }: Call): Answer {
  const live = inputRoot(environment)
  const now = readThisBoot(live)
  const disk = readDisk(root, environment)
  const row = list(root, now, disk, true).find((row) => row.name === name)
  if (!row) throw new Error(`no extension has the name ${name}: "hostext list --all" shows them`)
  const report = [now, disk.next, ...disk.recorded.kept].find((report) => findIn(report, name))
  const extension = findIn(report, name)
  const facts = report && extension && readFacts(root, report, extension, disk)
  const layers = report ? findLayers(environment, report) : []
  const layer = layers.find((layer) => layer.extension?.name === name)
  const effects = facts && layer && findEffects(layers, layer, now ? findMounted(live) : [], describeLayer)
  const { labels, layers: lower } = readLabels(root, disk.dataRoots, row.id)
  const users = facts ? [...Object.keys(facts.lookedAt.ids.users)] : []
  const groups = facts ? [...Object.keys(facts.lookedAt.ids.groups)] : []
  const document = {
    extension: row,
    ...{ labels, layers: lower, users, groups },
    notes: facts?.notes ?? [],
    effects: effects ?? null,
  }
  const most = options.all ? Number.POSITIVE_INFINITY : MOST_SHOWN
  return {
    document,
    lines: [
      { colour: 'bold', text: extension ? describeReported(extension) : name },
      field('state', row.why === null ? row.state : `${row.state}: ${row.why}`),
      ...(extension ? [field('rank', describeRank(extension)), field('tree', extension.tree)] : []),
      ...(facts ? [field('size', `${facts.files} files of ${size(facts.bytes)}`)] : []),
      ...Object.entries(labels ?? {}).map(([label, value]) => field('label', `${label}=${value}`)),
      ...(lower ?? []).map((path) => field('layer', path)),
      ...(users.length > 0 ? [field('users', users.join(' '))] : []),
      ...(groups.length > 0 ? [field('groups', groups.join(' '))] : []),
      ...(effects ? describeEffects(effects, most) : []),
      ...cutOff('note', facts?.notes ?? [], most),
    ],
    status: 0,
  }
}

function findIn(report: BootReport | undefined, name: string): ReportedExtension | undefined {
  return report?.extensions.find((extension) => extension.name === name)
}

function describeLayer({ kind, extension }: Layer): string {
  if (extension) return describeReported(extension)
  return kind === 'base' ? 'the root' : 'a change on this machine'
}

function describeEffects(effects: Effects, most: number): Line[] {
  const { adds, replaces, hidden, units, users, state, modules } = effects
  const of = (paths: Paths, others: Record<string, string>, word: string): Paths => ({
    ...paths,
    paths: paths.paths.map((path) => `${path}, ${word} ${others[path]}`),
  })
  return [
    ...pathsOf('adds', adds, most),
    ...pathsOf('replaces', of(replaces, replaces.of, 'that of'), most),
    ...pathsOf('hidden', of(hidden, hidden.by, 'by'), most),
    ...cutOff('unit', units, most),
    ...cutOff('sysusers', users, most),
    ...cutOff('tmpfiles', state, most),
    ...cutOff('module', modules, most),
  ]
}

function pathsOf(name: string, { count, paths }: Paths, most: number): Line[] {
  if (count === 0) return []
  const shown = paths.slice(0, most)
  const more = count - shown.length
  return [
    field(name, `${count} file${count === 1 ? '' : 's'}`),
    ...shown.map((path) => field('', path)),
    ...(more > 0 ? [field('', `and ${more} more`)] : []),
  ]
}

function cutOff(name: string, list: readonly string[], most: number): Line[] {
  const shown = list.slice(0, most).map((text) => field(name, text))
  const more = list.length - shown.length
  return more > 0 ? [...shown, field(name, `and ${more} more ("--all" shows them)`)] : shown
}
