import { type Root, readText, statLink } from '../machine/files.js'
import { parseMountinfo } from '../machine/mountinfo.js'
import { BOOT_REPORT, DECISION, FALLBACK, MARKED_GOOD, RUN_DIRECTORY } from '../machine/run-directory.js'
import { parseObject } from '../text/json.js'
import type { Level } from '../text/log.js'
import { type BootReport, describeReported, EMPTY_REPORT, type ReportedMessage } from './boot-report.js'

/** The size of ten thousand lines, one for each container, each as long as possible. */
const LARGEST = 16 << 20

/**
 * What this boot has done; undefined if hostext has not run in it. The generator's own report, and what
 * scripts have said since. Throws an Error if what was decided cannot be read.
 */
export function readThisBoot(root: Root): BootReport | undefined {
  const text = readText(root, DECISION, LARGEST)
  if (text instanceof Error) throw text
  if (text === undefined) return undefined
  const lines = text.split('\n').filter(Boolean).map(parseLine)
  const saved = readSaved(root)
  if (!saved) {
    const why = lines.findLast(({ text }) => text.startsWith(PLAIN))?.text.slice(PLAIN.length)
    return { ...EMPTY_REPORT, why: why ?? lines.at(-1)?.text ?? 'nothing was decided', messages: lines }
  }
  // The report says more about the lines of the generator; scripts have added theirs.
  const messages = [...saved.messages, ...lines.slice(saved.messages.length)]
  const report = { ...saved, messages }
  if (statLink(root, FALLBACK)) return fallenBack(report)
  if (saved.root !== 'stacked') return report
  const safety = statLink(root, MARKED_GOOD) ? { ...saved.safety, kind: 'good' as const } : saved.safety
  return withoutMissing(root, { ...report, safety })
}

const PLAIN = 'plain root: '

function parseLine(line: string): ReportedMessage {
  const [, mark, text = ''] = /^(?:(error|warning): )?(.*)$/s.exec(line) ?? []
  return { level: (mark as Level | undefined) ?? 'notice', text, leftOut: null }
}

/** It is root's, in a directory of root's: what the generator has written there is whole, or not there. */
function readSaved(root: Root): BootReport | undefined {
  const text = readText(root, BOOT_REPORT, LARGEST)
  const json = typeof text === 'string' ? parseObject(text) : undefined
  const lists = ['extensions', 'unprepared', 'leftOut', 'messages', 'writable']
  return json && lists.every((name) => Array.isArray(json[name])) ? (json as BootReport) : undefined
}

/** Stacking has failed: nothing of it is there. */
function fallenBack(report: BootReport): BootReport {
  const why = report.messages.findLast(({ level }) => level === 'error')?.text ?? 'stacking failed'
  const leftOut = report.extensions.map((extension) => ({
    ...{ name: extension.name, image: extension.image, id: extension.id },
    ...{ who: describeReported(extension), why, onRequest: false },
  }))
  const { extensions, safety } = EMPTY_REPORT
  return { ...report, root: 'plain', why, extensions, safety, leftOut: [...report.leftOut, ...leftOut] }
}

/** An extension whose tree could not be mounted was left out by the switch, which has said why. */
function withoutMissing(root: Root, report: BootReport): BootReport {
  const text = readText(root, '/proc/self/mountinfo')
  const mounts = typeof text === 'string' ? parseMountinfo(text) : []
  const places = new Set(mounts.map(({ mountPoint }) => mountPoint))
  const isThere = ({ unit }: { unit: string }): boolean => places.has(`${RUN_DIRECTORY}/${numberOf(unit)}`)
  // Somebody who unmounts them all changes nothing in the root.
  if (!report.extensions.some(isThere)) return report
  const missing = report.extensions.filter((extension) => !isThere(extension))
  const leftOut = missing.map((extension) => ({
    ...{ name: extension.name, image: extension.image, id: extension.id },
    ...{ who: describeReported(extension), why: 'its layers did not mount', onRequest: false },
  }))
  return {
    ...report,
    extensions: report.extensions.filter(isThere),
    leftOut: [...report.leftOut, ...leftOut],
  }
}

/** The name of an extension's mount point in the run directory. */
function numberOf(unit: string): string {
  return unit.replace(/^run-hostext-|\.mount$/g, '')
}
