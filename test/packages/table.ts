import type { Release } from '../boot/rootfs.js'
import { OTHER, type Row, type Score } from './compare.js'
import { type Fact, KINDS, type Kind } from './facts.js'

/** Differences in one form, and why they are: `text` is matched with the text of the fact. */
export type Reason = { form: 'image' | 'unpacked'; text: RegExp; why: string }

/** Why there is a difference, if that is known. */
export function whyDifferent(
  { form, text }: { form: Reason['form']; text: string },
  reasons: readonly Reason[],
): string | undefined {
  return reasons.find((reason) => reason.form === form && reason.text.test(text))?.why
}

/** What each set has shown on a release. */
export type Result = { release: Release; set: string; rows: readonly Row[] }

type Count = { of: number; same: number }

/** How many facts there are in all results, and how many are the same in one form. */
export function count(results: readonly Result[], form: 'image' | 'unpacked', kind: Kind): Count {
  const scores = results.flatMap(({ rows }) => rows.map((row) => row[form][kind]))
  const of = scores.reduce((sum, score) => sum + score.of, 0)
  return { of, same: of - scores.reduce((sum, { missing }) => sum + missing.length, 0) }
}

/** One line for each release, about what the measure is. */
export function summary(results: readonly Result[]): string[] {
  return [...new Set(results.map(({ release }) => release))].map((release) => {
    const own = results.filter((result) => result.release === release)
    const packages = own.flatMap(({ rows }) => rows).filter(({ name }) => name !== OTHER).length
    const [runs, seen, is, unpacked] = [
      count(own, 'image', 'runs'),
      count(own, 'image', 'seen'),
      count(own, 'image', 'is'),
      count(own, 'unpacked', 'seen'),
    ].map(({ same, of }) => `${same} of ${of} (${percent(same, of)})`)
    return (
      `${release}, ${packages} packages: of what runs when they are installed, ${runs} runs from an image; ` +
      `of what systemd and the loader know, they know ${seen} from an image and ${unpacked} from unpacked packages; ` +
      `of users, groups, enabled units, owners and modes, ${is} are the same from an image`
    )
  })
}

/** Rounded down: 100 % are all. */
function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.floor((part / whole) * 1000) / 10} %`
}

/** The table, in Markdown: a line for each package, and the reasons for what differs. */
export function table(results: readonly Result[], reasons: readonly Reason[]): string {
  const lines = results.flatMap(({ release, rows }) =>
    rows
      .filter(({ image }) => KINDS.some((kind) => image[kind].of > 0))
      .map(({ name, image, unpacked }) => {
        const cells = [name, release, `${image.runs.of}`, cell(image, KINDS), cell(unpacked, ['seen'])]
        return `| ${cells.join(' | ')} |`
      }),
  )
  const head = ['package', 'release', 'runs installed', 'image', 'unpacked']
  return [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---|').join('')}`,
    ...lines,
    '',
    ...why(results, reasons),
  ].join('\n')
}

const WORDS: Record<Kind, string> = { runs: 'run', seen: 'known', is: 'as installed' }

function cell(score: Score, kinds: readonly Kind[]): string {
  return kinds
    .filter((kind) => score[kind].of > 0)
    .map((kind) => {
      const { of, missing } = score[kind]
      return missing.length === 0
        ? `all ${of} ${WORDS[kind]}`
        : `**${of - missing.length} of ${of}** ${WORDS[kind]}`
    })
    .join(', ')
}

/** Each difference once, with its reason. */
function why(results: readonly Result[], reasons: readonly Reason[]): string[] {
  const where = new Map<string, string[]>()
  for (const difference of differences(results)) {
    const { text, name, release, form } = difference
    const line = `- ${name}, ${form}: ${text}: ${whyDifferent(difference, reasons) ?? '**not explained**'}`
    where.set(line, [...(where.get(line) ?? []), release])
  }
  return [...where].map(([line, releases]) => `${line} (${[...new Set(releases)].join(', ')})`)
}

/** The facts that are missing in the forms in which they count. */
export function differences(
  results: readonly Result[],
): (Fact & { name: string; release: Release; form: 'image' | 'unpacked' })[] {
  return results.flatMap(({ release, rows }) =>
    rows.flatMap(({ name, image, unpacked }) => [
      ...KINDS.flatMap((kind) =>
        image[kind].missing.map((fact) => ({ ...fact, name, release, form: 'image' as const })),
      ),
      ...unpacked.seen.missing.map((fact) => ({ ...fact, name, release, form: 'unpacked' as const })),
    ]),
  )
}
