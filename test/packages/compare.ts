import { type Fact, KINDS, type Kind } from './facts.js'
import type { OwnerOf } from './owners.js'
import type { PackageSet } from './sets.js'

/** How a package does in one form: how many of its facts there are, and which are missing. */
export type Score = Record<Kind, { of: number; missing: Fact[] }>
/** A package tried, or what belongs to none of them. */
export type Row = { name: string; image: Score; unpacked: Score }

export type Facts = ReadonlyMap<string, Fact>
/** The facts of four machines: without the packages, and with them in each of the three forms. */
export type Compared = { base: Facts; installed: Facts; image: Facts; unpacked: Facts }

/** What differs in every boot, and what a machine has because it has a package manager and not a package. */
const NOISE = [
  /^\/run\/(?:systemd|udev|log|user|hostext|credentials|mount|lock\/|initctl|utmp)/,
  /^\/(?:var\/lib\/(?:apt|dpkg|systemd|ucf)|var\/cache\/(?:apt|debconf|ldconfig)|var\/log\/(?:apt|journal))\b/,
  /^\/var\/(?:backups|tmp)\//,
  /^\/var\/log\/(?:dpkg\.log|alternatives\.log|bootstrap\.log|faillog|lastlog)/,
  /\.(?:dpkg-[a-z]+|ucf-dist)$/,
]

export function isNoise({ subject }: Fact): boolean {
  return NOISE.some((pattern) => pattern.test(subject))
}

/**
 * Compares what is true of the machine with the packages installed, and not of the base, with the other
 * forms.
 */
export function compare(
  set: PackageSet,
  { base, installed, image, unpacked }: Compared,
  ownerOf: OwnerOf,
): Row[] {
  const rows = new Map<string, Row>(
    [...set.packages.map(({ name }) => name), OTHER].map((name) => [
      name,
      { name, image: noScore(), unpacked: noScore() },
    ]),
  )
  const rowOf = (fact: Fact): Row => rows.get(ownerOf(fact) ?? OTHER) ?? (rows.get(OTHER) as Row)
  for (const [text, fact] of installed) {
    if (base.has(text) || isNoise(fact) || fact.kind === 'fails') continue
    const row = rowOf(fact)
    for (const [score, facts] of [
      [row.image, image],
      [row.unpacked, unpacked],
    ] as const) {
      score[fact.kind].of++
      if (!facts.has(text)) score[fact.kind].missing.push(fact)
    }
  }
  for (const fact of image.values()) {
    if (fact.kind !== 'fails' || installed.has(fact.text)) continue
    const { runs } = rowOf(fact).image
    runs.of++
    runs.missing.push(fact)
  }
  return [...rows.values()]
}

export const OTHER = '(not of one package)'

function noScore(): Score {
  return Object.fromEntries(KINDS.map((kind) => [kind, { of: 0, missing: [] }])) as unknown as Score
}
