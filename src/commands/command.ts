import minimist from 'minimist'
import { inputRoot, readText } from '../machine/files.js'
import { decide } from '../stack/decide.js'
import { describeContainer } from '../stack/extension.js'
import { oneLine } from '../text/printable.js'
import { hold } from '../trial/hold.js'
import { watch } from '../trial/watch.js'
import { DECISION } from '../units/layer.js'
import { describeChange, readChanges } from './changes.js'
import { retry, showRollback } from './rollback.js'

const USAGE = `hostext COMMAND

Commands:
  plan      what the next boot would stack, and what it would leave out and why
  status    what this boot decided
  changes   what has been changed in a persistent /etc
  rollback  whether a stack that does not boot well is taken back, and what is recorded of stacks
  retry     forgets what did not boot well: the next boot tries it again
  hold      has the engine keep the images that are stacked; part of each boot
  watch S   reboots unless the stack on trial is marked good in S seconds; part of a trial
  help      this text
  version   the version

As a generator: hostext NORMAL [EARLY LATE], three absolute directories; systemd calls it so.
HOSTEXT_ROOT=DIR looks at the system below DIR.
`

/** The `hostext` command. Prints; returns the exit status: 0, or 2 for words it does not know. */
export async function command(words: string[]): Promise<number> {
  const { _: names, ...options } = minimist(words, { boolean: ['help', 'version'], alias: { h: 'help' } })
  const unknown = Object.keys(options).find((name) => !['help', 'h', 'version'].includes(name))
  const name = options.help ? 'help' : options.version ? 'version' : (names[0] ?? 'help')
  const run = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!run || unknown !== undefined || names.length > (name === 'watch' ? 2 : 1)) {
    process.stderr.write(
      `hostext: ${unknown === undefined ? `no command ${words.join(' ')}` : `no option ${unknown}`}\n${USAGE}`,
    )
    return 2
  }
  return run(names[1])
}

const COMMANDS: Record<string, (word?: string) => number | Promise<number>> = {
  help() {
    process.stdout.write(USAGE)
    return 0
  },
  version() {
    process.stdout.write(`hostext ${HOSTEXT_VERSION}\n`)
    return 0
  },
  plan() {
    const decision = decide(inputRoot(process.env), process.env)
    for (const { level, text } of decision.messages) process.stdout.write(`${level}: ${oneLine(text)}\n`)
    if ('plain' in decision) {
      process.stdout.write(`plain root: ${oneLine(decision.plain)}\n`)
      return 0
    }
    if ('wait' in decision) {
      process.stdout.write(`not mounted yet: ${oneLine(decision.wait.paths.join(' '))}\n`)
      return 0
    }
    const { extensions, above, state, etc } = decision.plan
    const lines = extensions.map(({ container, rank, layers }, index) => {
      const rule = rank.kind === 'override' ? `override=${rank.priority}` : rank.kind
      return `${String(index).padStart(4)}  ${describeContainer(container)}, ${rule}, layers: ${layers.lower.length}\n`
    })
    process.stdout.write(`${lines.slice(0, above).join('')}   /  the root\n${lines.slice(above).join('')}`)
    process.stdout.write(`writable: ${state.join(' ') || 'nothing'}\n/etc: ${etc.mode}\n`)
    return 0
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
  hold() {
    return hold(inputRoot(process.env))
  },
  watch(word) {
    const seconds = Number(word)
    if (!(seconds > 0)) throw new Error('watch: no number of seconds')
    return watch(inputRoot(process.env), seconds)
  },
  status() {
    const text = readText(inputRoot(process.env), DECISION)
    if (text instanceof Error) throw text
    process.stdout.write(text ?? 'hostext has not run in this boot\n')
    return 0
  },
}

function print(lines: readonly string[]): number {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''))
  return 0
}

/** Set by the build from package.json. */
declare const HOSTEXT_VERSION: string
