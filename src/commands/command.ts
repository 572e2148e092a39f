import { resolve } from 'node:path'
import minimist from 'minimist'
import { inputRoot } from '../machine/files.js'
import { nextBootRoot } from '../machine/next-boot.js'
import { cut, oneLine } from '../text/printable.js'
import { watch } from '../trial/watch.js'
import { describeChange, readChanges } from './changes.js'
import { check } from './check.js'
import { showPlan } from './plan.js'
import { prepare } from './prepare.js'
import { retry } from './retry.js'
import { showRollback } from './rollback.js'
import { showStatus } from './status.js'

const USAGE = `hostext COMMAND

Commands:
  plan      show what the next boot would stack, and what it would leave out and why
  check X   say what the image, container, directory or archive X would be as an extension; "-" is
            standard input. --json, --fail-on=error|warning|notice, --image=NAME, --no-root
  prepare   prepare the images of extensions for the next boot, and show what is kept; "prepare boot" is run
            by a boot that meets an image that is not prepared
  status    show what this boot decided, and what of the images is not in the root as it was in the image
  changes   list what has been changed in a persistent /etc
  rollback  show whether rollback works here, and which stacks are good or were tried
  retry     forget failed trials: the next boot tries that stack again
  watch S   reboot unless the stack on trial is marked good within S seconds; run during a trial.
            "watch S container" inside a container
  help      show this text
  version   show the version

As a generator: hostext NORMAL [EARLY LATE], absolute directories, as systemd calls it.
--root DIR, or HOSTEXT_ROOT=DIR: for the system below DIR.
`

/** The `hostext` command. Prints; returns the exit status, which is 2 for an unknown command or option. */
export async function command(words: string[]): Promise<number> {
  const { _: names, ...options } = minimist(words, {
    boolean: ['help', 'version', 'json'],
    string: ['root', 'fail-on', 'image'],
    alias: { h: 'help' },
  })
  const own = words[0] === 'check' ? ['fail-on', 'image'] : []
  const known = ['help', 'h', 'version', 'root', ...own]
  const unknown = Object.keys(options).find(
    (name) => !known.includes(name) && !(name === 'json' && (own.length > 0 || !options.json)),
  )
  if (names[0] === 'check' && unknown === undefined && !options.help)
    return checkCommand(names.slice(1), options)
  if (options.root) process.env.HOSTEXT_ROOT = resolve(options.root)
  const name = options.help ? 'help' : options.version ? 'version' : (names[0] ?? 'help')
  const run = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!run || unknown !== undefined || names.length > (MOST_WORDS[name] ?? 1)) {
    process.stderr.write(
      `hostext: ${unknown === undefined ? `unknown command ${words.join(' ')}` : `unknown option ${unknown}`}\n${USAGE}`,
    )
    return 2
  }
  return run(...names.slice(1))
}

async function checkCommand(words: string[], options: Record<string, unknown>): Promise<number> {
  const isNone = options.root === false
  if (typeof options.root === 'string' && options.root !== '')
    process.env.HOSTEXT_ROOT = resolve(options.root)
  const { document, lines, status } = await check(process.env, words, {
    ...(typeof options['fail-on'] === 'string' && { failOn: options['fail-on'] }),
    ...(typeof options.image === 'string' && { image: options.image }),
    noRoot: isNone,
  })
  if (options.json) process.stdout.write(`${JSON.stringify(document)}\n`)
  else if ('error' in document) process.stderr.write(lines.map((line) => `hostext: ${line}\n`).join(''))
  else print(lines)
  return status
}

/** How many words those commands may have that take more than their name. */
const MOST_WORDS: Record<string, number> = { watch: 3, prepare: 2 }

const COMMANDS: Record<string, (...words: string[]) => number | Promise<number>> = {
  help() {
    process.stdout.write(USAGE)
    return 0
  },
  version() {
    process.stdout.write(`hostext ${HOSTEXT_VERSION}\n`)
    return 0
  },
  plan() {
    return print(showPlan(nextBootRoot(process.env), process.env))
  },
  async prepare(word) {
    if (word !== undefined && word !== 'boot') throw new Error('prepare: the second word can only be "boot"')
    const { lines, done } = await prepare(nextBootRoot(process.env), process.env, word === 'boot')
    print(lines)
    return done ? 0 : 1
  },
  changes() {
    for (const change of readChanges(inputRoot(process.env)))
      process.stdout.write(`${describeChange(change)}\n`)
    return 0
  },
  rollback() {
    return print(showRollback(inputRoot(process.env), process.env))
  },
  retry() {
    return print(retry(inputRoot(process.env)))
  },
  watch(word, where) {
    const seconds = Number(word)
    if (!(seconds > 0)) throw new Error('watch: the first word must be a number of seconds')
    if (where !== undefined && where !== 'container')
      throw new Error('watch: the second word can only be "container"')
    return watch(inputRoot(process.env), seconds, where === 'container')
  },
  status() {
    return print(showStatus(inputRoot(process.env)))
  },
}

function print(lines: readonly string[]): number {
  process.stdout.write(lines.map((line) => `${oneLine(cut(line, LONGEST_LINE))}\n`).join(''))
  return 0
}

/** The most characters of a line to print: more than anyone reads. Scripts may have written longer ones. */
const LONGEST_LINE = 4096

/** Set by the build from package.json. */
declare const HOSTEXT_VERSION: string
