import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { readArchive } from '../check/archive.js'
import { type Compared, hasHostext, noRoot, readRoot } from '../check/base.js'
import { readDirectory } from '../check/directory.js'
import type { CheckDocument } from '../check/document.js'
import { type FindingLevel, LEVELS } from '../check/finding.js'
import { judgeImage } from '../check/judge.js'
import { readStored } from '../check/stored.js'
import type { Subject } from '../check/subject.js'
import { reason } from '../machine/files.js'
import { cut, oneLine, printable } from '../text/printable.js'
import { type Answer, type Call, UsageError } from './answer.js'

/** The same, as the other commands answer. */
export async function showCheck({ environment, words, options }: Call): Promise<Answer> {
  const { 'fail-on': failOn, image } = options
  const { document, lines, status } = await check(environment, words, {
    ...(typeof failOn === 'string' && { failOn }),
    ...(typeof image === 'string' && { image }),
    noRoot: options['no-root'] === true,
  })
  const [first = ''] = lines
  if (status === 2) throw new UsageError(first)
  if ('error' in document && !options.json) throw new Error(first)
  return { document, lines, status }
}

/** The options of `hostext check`, as they were typed. */
export type CheckOptions = {
  /** The least level of findings with which the check fails. */
  failOn?: string
  /** Which of several images in an archive. */
  image?: string
  /** Whether the image is looked at without a root. */
  noRoot?: boolean
}

/** What a command returns: the document that `--json` prints, or lines, and the exit status. */
export type CheckResult = { document: CheckDocument | { error: string }; lines: string[]; status: 0 | 1 | 2 }

/**
 * `hostext check IMAGE|CONTAINER|DIRECTORY|TAR`: what it would be as an extension, on the root that
 * `environment` names, on this one if it has hostext, or on none. `words`: what is checked. The status is 1
 * if there is a finding of the level that was asked for, or if it cannot be read, and 2 for a wrong word.
 */
export async function check(
  environment: NodeJS.ProcessEnv,
  words: readonly string[],
  options: CheckOptions = {},
): Promise<CheckResult> {
  const [word, ...others] = words
  const { failOn = 'error' } = options
  if (word === undefined || word === '' || others.length > 0)
    return failed('check: name one image, container, directory or archive; "-" is standard input', 2)
  if (!isLevel(failOn))
    return failed(`check: --fail-on= takes ${LEVELS.join(', ')}, not ${printable(failOn, 40)}`, 2)
  try {
    const compared = choose(environment, options)
    const subject = await readSubject(environment, word, compared, options)
    const document = judgeImage(subject, compared)
    const limit = LEVELS.indexOf(failOn)
    const isBad = document.findings.some(({ level }) => LEVELS.indexOf(level) <= limit)
    return { document, lines: describe(document, failOn), status: isBad ? 1 : 0 }
  } catch (error) {
    return failed(`check: ${reason(error)}`, 1)
  }
}

function failed(text: string, status: 1 | 2): CheckResult {
  const line = oneLine(cut(text, 2000))
  return { document: { error: line }, lines: [line], status }
}

function isLevel(word: string): word is FindingLevel {
  return (LEVELS as readonly string[]).includes(word)
}

function choose(environment: NodeJS.ProcessEnv, options: CheckOptions): Compared {
  if (options.noRoot) return noRoot()
  return environment.HOSTEXT_ROOT || hasHostext(environment) ? readRoot(environment) : noRoot()
}

/** Finds what a word names: standard input, a file or a directory, or else an image or a container. */
async function readSubject(
  environment: NodeJS.ProcessEnv,
  word: string,
  compared: Compared,
  { image }: CheckOptions,
): Promise<Subject> {
  const hashKernels = compared.host?.kernel?.abi !== undefined
  const { architecture = GO[process.arch] } = compared
  const stat = word === '-' ? undefined : statSync(word, { throwIfNoEntry: false })
  if (word === '-' || stat?.isFile() || stat?.isFIFO())
    return readArchive(word, { image, architecture }, hashKernels)
  if (stat?.isDirectory()) {
    const path = resolve(word)
    for (const name of ['oci-layout', 'manifest.json'])
      if (statSync(`${path}/${name}`, { throwIfNoEntry: false })?.isFile())
        throw new Error(
          `${printable(word, 200)} is an unpacked archive of an image (it has ${name}): "tar -C DIRECTORY -c . | hostext check -" checks it`,
        )
    return {
      ...readDirectory(path === '/' ? '' : path, hashKernels),
      ...{ format: 'directory', name: word, labels: undefined, architecture: undefined, layers: 1 },
    }
  }
  if (stat) throw new Error(`${printable(word, 200)} is neither a file nor a directory`)
  return readStored(environment, word, hashKernels)
}

/** What Go calls the processors that Node runs on, where it is not the same. */
const GO: Record<string, string> = { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm' }

/** The most notices of one kind that are shown: a whole system has hundreds. */
const MOST_ALIKE = 10

/** The lines for people: what it is, its findings by group, and how many there are. */
function describe(document: CheckDocument, failOn: FindingLevel): string[] {
  const { subject, root, position, size, findings, summary } = document
  const { files, bytes } = size.image
  const what = [
    `${subject.format} ${subject.name}`,
    ...(subject.architecture === null ? [] : [subject.architecture]),
    `${subject.layers} ${subject.layers === 1 ? 'layer' : 'layers'}`,
    `${files} ${files === 1 ? 'file' : 'files'}, ${mebibytes(bytes)}`,
  ]
  const where = position === null ? [] : [position === 'above' ? 'above the root' : 'below the root']
  const lines = [
    what.join('; '),
    `${['as an extension', ...where].join(' ')} on ${root === null ? 'any root (the image alone was looked at; --root DIR compares it with one)' : root.name}`,
  ]
  let group = ''
  const alike = new Map<string, number>()
  const kindOf = ({ group, code }: { group: string; code: string }): string => `${group} ${code}`
  const notices = findings.filter(({ level }) => level === 'notice').map(kindOf)
  for (const finding of findings) {
    const kind = kindOf(finding)
    const count = (alike.get(kind) ?? 0) + (finding.level === 'notice' ? 1 : 0)
    alike.set(kind, count)
    if (count > MOST_ALIKE) {
      const more = notices.filter((other) => other === kind).length - MOST_ALIKE
      if (count === MOST_ALIKE + 1) lines.push(`  notice: ${more} more like this; --json has all`)
      continue
    }
    if (finding.group !== group) lines.push('', `${finding.group}:`)
    group = finding.group
    const path = finding.path === null ? '' : `${finding.path}: `
    lines.push(`  ${finding.level}: ${path}${finding.text}`)
  }
  const counts = LEVELS.map((level) => `${summary[level]} ${level}${summary[level] === 1 ? '' : 's'}`)
  const limit = LEVELS.indexOf(failOn)
  const bad = LEVELS.slice(0, limit + 1).some((level) => summary[level] > 0)
  lines.push('', `${bad ? 'not good' : 'good'}: ${counts.join(', ')}`)
  return lines
}

function mebibytes(bytes: number): string {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
