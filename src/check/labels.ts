import { COMPATIBILITY_LABELS, judgeFit, OS_VERSION_LABEL } from '../image/compatibility.js'
import { CLASS_LABEL, FEATURE_LABELS, OVERRIDE_LABEL, type Rank, readRank } from '../image/labels.js'
import { printable } from '../text/printable.js'
import type { Findings } from './finding.js'

/** All labels that hostext reads. */
export const LABELS = [...FEATURE_LABELS, CLASS_LABEL, OVERRIDE_LABEL, ...COMPATIBILITY_LABELS]

/** What the names of labels begin with that are about extensions, or about images of balenaOS. */
const OURS = /^(?:io\.balena|balena\.io|io\.hostext)\.(?:features?|image|host)/i

/**
 * Judges labels by themselves: whether they make an image an extension, and which of them are likely to be
 * misspelt. Returns what they say; undefined if the image is not an extension.
 */
export function checkLabels(labels: ReadonlyMap<string, string>, findings: Findings): Rank | undefined {
  const flagged = readRank(labels)
  let hasNear = false
  for (const name of labels.keys()) {
    if (LABELS.includes(name)) continue
    const near = findNear(name)
    if (near !== undefined) {
      hasNear ||= near !== OVERRIDE_LABEL && !COMPATIBILITY_LABELS.includes(near)
      const level = flagged && 'rank' in flagged ? 'warning' : 'error'
      findings.add(level, 'labels', 'label-misspelt', name, `hostext does not read it; is ${near} meant?`)
    } else if (OURS.test(name)) {
      findings.add('notice', 'labels', 'label-unknown', name, 'hostext does not read it')
    }
  }
  if (!flagged) {
    findings.add('error', 'labels', 'not-an-extension', undefined, whyNot(labels, hasNear))
    return undefined
  }
  if ('why' in flagged) {
    findings.add('error', 'labels', 'not-an-extension', CLASS_LABEL, flagged.why)
    return undefined
  }
  if (flagged.warning !== undefined)
    findings.add('warning', 'labels', 'label-value', OVERRIDE_LABEL, flagged.warning)
  // What of these labels depends on a machine is judged with one.
  const nothing = { kernel: undefined, versionId: undefined }
  const host = { ...nothing, takesStarted: false, skipsForeign: false }
  const versions = new Map([...labels].filter(([name]) => name === OS_VERSION_LABEL))
  const fit = judgeFit(versions, { modules: false, kernel: () => false }, host)
  if (!('unfit' in fit))
    for (const warning of fit.warnings)
      findings.add('warning', 'labels', 'label-value', OS_VERSION_LABEL, warning)
  return flagged.rank
}

/** Why labels do not make an image an extension, and what would. */
function whyNot(labels: ReadonlyMap<string, string>, hasNear: boolean): string {
  const [feature] = FEATURE_LABELS as [string]
  const off = FEATURE_LABELS.find((name) => labels.has(name))
  if (off !== undefined)
    return `it is not an extension: ${off} is ${JSON.stringify(printable(labels.get(off) as string, 40))}, which says no`
  const what = hasNear ? 'a label with the right name' : `LABEL ${feature}=1`
  const alone = labels.has(OVERRIDE_LABEL) ? `: ${OVERRIDE_LABEL} alone does not make it one` : ''
  return `it is not an extension${alone}; what makes it one is ${what}`
}

/**
 * The label that a name is most likely meant to be: the same but for case and punctuation, with one or two
 * letters more, less or changed, or with another beginning. Undefined if it is like none.
 */
export function findNear(name: string): string | undefined {
  if (name.length > 100) return undefined
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const own = plain(name)
  const same = LABELS.find((label) => plain(label) === own)
  if (same !== undefined) return same
  const distances = LABELS.map((label) => ({ label, distance: distance(own, plain(label)) }))
  distances.sort((a, b) => a.distance - b.distance)
  const [best] = distances
  if (best && best.distance <= 2) return best.label
  // Whole labels of other prefixes: com.example.features.host-extension is somebody else's, unless it has no
  // prefix at all.
  const last = (text: string): string => plain(text.slice(text.lastIndexOf('.') + 1))
  if (!OURS.test(name) && name.includes('.') && !/^(?:io|com)\.balena\.|^balena\./i.test(name))
    return undefined
  const tail = last(name)
  if (tail.length < 6) return undefined
  return LABELS.find((label) => distance(tail, last(label)) <= (tail.length > 8 ? 2 : 1))
}

/** How many letters have to be added, removed, changed or swapped with the next: Damerau and Levenshtein. */
export function distance(one: string, other: string): number {
  let before: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const cost = one[i - 1] === other[j - 1] ? 0 : 1
      let least = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + cost,
      )
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1])
        least = Math.min(least, (before[j - 2] as number) + 1)
      row.push(least)
    }
    before = last
    last = row
  }
  return last[other.length] as number
}
