import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import minimist from 'minimist'
import { inputRoot, type Root } from '../machine/files.js'
import { nextBootRoot } from '../machine/next-boot.js'
import { toJson } from '../report/json.js'
import { canSee, NOT_SEEN } from '../report/next-boot.js'
import { lookAtScreen, renderLines } from '../report/screen.js'
import { readThisBoot } from '../report/this-boot.js'
import { print } from '../text/output.js'
import { printable } from '../text/printable.js'
import { type Answer, type Call, UsageError } from './answer.js'
import { describeChange, readChanges } from './changes.js'
import { showCompletion } from './completion.js'
import { showDifference } from './diff.js'
import { showList } from './list.js'
import { showLog } from './log.js'
import { showPlan } from './plan.js'
import { retry } from './retry.js'
import { showRollback } from './rollback.js'
import { showExtension } from './show.js'
import { showStatus } from './status.js'
import { COMMON_OPTIONS, findVerb, type Option, usage, VERBS, type Verb, type VerbName } from './verbs.js'
import { showWhich } from './which.js'

/** Raised when a field is removed or means something else; a new field is no other version. */
const SCHEMA_VERSION = 1

/**
 * The `hostext` command. Prints; returns the exit status, which is 2 for an unknown command or option. Throws
 * an Error if something is not done.
 */
export async function command(words: string[]): Promise<number> {
  const { output, complaint = '', status } = await answer(words, process.env)
  print(output)
  if (complaint !== '') print(complaint, 2)
  return status
}

/**
 * What it prints: on standard output, or on standard error if it was called in a way that it does not have.
 */
type Printed = { output: string; complaint?: string; status: number }

/** The same, without printing. `environment`: instead of that of the process. */
export async function answer(words: string[], environment: NodeJS.ProcessEnv): Promise<Printed> {
  const { name, verb, rest, options } = parse(words)
  if (!verb) return complain(`unknown command ${name}`)
  const known = { ...verb.options, ...COMMON_OPTIONS }
  const unknown = Object.keys(options).find((option) => !Object.hasOwn(known, option))
  if (unknown !== undefined) return complain(`unknown option --${unknown}`, name)
  const wrong = findWrongValue(options, known)
  if (wrong !== undefined) return complain(wrong, name)
  if (options.help) return { output: usage(words[0] === name ? name : undefined), status: 0 }
  if (rest.length < verb.least || rest.length > verb.most) return complain(countProblem(name, rest), name)
  const screen = lookAtScreen(environment)
  const inRoot =
    typeof options.root === 'string' ? { ...environment, HOSTEXT_ROOT: resolve(options.root) } : environment
  try {
    const call = { root: nextBootRoot(inRoot), environment: inRoot, words: rest, options, screen }
    if (verb.reads) checkRoot(call.root, verb.reads)
    const { document, lines, text, status } = await RUN[name as VerbName](call)
    const whole = { schema: 'hostext', version: SCHEMA_VERSION, command: name, ...document }
    const output = options.json ? toJson(whole) : (text ?? renderLines(lines, screen))
    return { output, status }
  } catch (error) {
    // (Not by its class: images.js is another bundle, which has its own.)
    if ((error as Error).name === 'UsageError') return complain((error as Error).message, name)
    throw error
  }
}

/** What is wrong with the values of options; undefined if nothing is. */
function findWrongValue(options: Call['options'], known: Record<string, Option>): string | undefined {
  for (const [name, given] of Object.entries(options)) {
    // (minimist makes a list of an option that is there twice.)
    if (Array.isArray(given)) return `--${name} is there more than once`
    if (given === '') return `--${name}: ${known[name]?.value} is missing`
  }
  return undefined
}

/** Throws an Error if this root cannot be asked: there is none, or this user does not see what is in it. */
function checkRoot(root: Root, reads: NonNullable<Verb['reads']>): void {
  if (root.prefix !== '' && !statSync(root.prefix, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${printable(root.prefix)} is not a root file system: there is no such directory`)
  if (reads === 'engines' && !canSee(root)) throw new Error(`${NOT_SEEN}: call it as root`)
}

function parse(words: string[]) {
  const { _: names, ...given } = words.some((word) => word.startsWith('-'))
    ? parseOptions(words)
    : { _: words }
  const options = Object.fromEntries(
    Object.entries(given).flatMap(([name, value]): [string, string | boolean][] => {
      if (name === 'h') return []
      if (value !== false) return [[name, value]]
      // What minimist makes of --no-NAME; also what a flag is without it.
      const negation = `no-${name}`
      return Object.hasOwn(ALL_OPTIONS, name) ? [] : [[negation, true]]
    }),
  ) as Call['options']
  const [first, ...rest] = names
  const name = first ?? (options.version ? 'version' : 'help')
  return { name, verb: findVerb(name), rest, options }
}

function parseOptions(words: string[]): minimist.ParsedArgs {
  const flags = Object.entries(ALL_OPTIONS).filter(([, { value }]) => value === undefined)
  return minimist(words, {
    boolean: flags.map(([name]) => name),
    string: [...Object.keys(ALL_OPTIONS).filter((name) => ALL_OPTIONS[name]?.value !== undefined), '_'],
    alias: { h: 'help' },
  })
}

/** The options of all verbs. None means two things. */
const ALL_OPTIONS: Record<string, Option> = Object.assign(
  {},
  COMMON_OPTIONS,
  ...Object.values<Verb>(VERBS).map(({ options }) => options),
)

function countProblem(name: string, rest: string[]): string {
  const words = findVerb(name)?.words ?? ''
  return rest.length === 0 ? `${name}: ${words} is missing` : `${name}: too many words: ${rest.join(' ')}`
}

function complain(problem: string, name?: string): Printed {
  return { output: '', complaint: `hostext: ${problem}\n${usage(name)}`, status: 2 }
}

const RUN: Record<VerbName, (call: Call) => Answer | Promise<Answer>> = {
  status: showStatus,
  list: showList,
  diff: showDifference,
  show: showExtension,
  which: showWhich,
  log: showLog,
  check: async (call) => (await import('./images.js')).showCheck(call),
  plan: ({ root, environment }) => showPlan(root, environment),
  async prepare({ root, environment }) {
    const { prepare } = await import('./images.js')
    const { lines, done } = await prepare(root, environment, false)
    return { document: { done, lines }, lines, status: done ? 0 : 1 }
  },
  changes({ environment }) {
    const live = inputRoot(environment)
    const changes = readChanges(live)
    const extensions = readThisBoot(live)?.extensions
    return {
      document: { changes },
      lines: changes.map((each) => describeChange(each, extensions)),
      status: 0,
    }
  },
  rollback: ({ root, environment, options }) => showRollback(root, environment, options.now === true),
  retry({ environment }) {
    const lines = retry(inputRoot(environment))
    return { document: { lines }, lines, status: 0 }
  },
  completion: showCompletion,
  help: ({ words: [name] }) => {
    if (name !== undefined && !findVerb(name)) throw new UsageError(`help: unknown command ${name}`)
    return { document: { usage: usage(name) }, lines: [], text: usage(name), status: 0 }
  },
  version: () => ({
    document: { hostext: HOSTEXT_VERSION },
    lines: [`hostext ${HOSTEXT_VERSION}`],
    status: 0,
  }),
}

/** Set by the build from package.json. */
declare const HOSTEXT_VERSION: string
