import { generate } from './generator.js'
import { inputRoot } from './machine/files.js'
import { nextBootRoot } from './machine/next-boot.js'
import { log } from './text/log.js'
import { printLines } from './text/output.js'
import { watch } from './trial/watch.js'

/**
 * What boots run: the generator, as PID 1 calls it with one or three directories (systemd.generator(7)), and
 * what units and scripts call. People have commands.ts.
 */
const words = process.argv.slice(2)
if ((words.length === 1 || words.length === 3) && words.every((word) => word.startsWith('/')))
  // Everything is written. A normal exit takes time that the boot would wait for.
  process.exit(runGenerator(words as [string, string, string]))
run(words).then(
  (status) => {
    process.exitCode = status
  },
  (error: Error) => fail(error),
)

/** Returns the exit status. */
function runGenerator(directories: [string, string, string]): number {
  try {
    generate(process.env, ...directories)
    return 0
  } catch (error) {
    fail(error as Error)
    return 1
  }
}

/** Returns the exit status. Throws an Error if something is not done. */
async function run([name, first, second]: string[]): Promise<number> {
  if (name === 'prepare') {
    const { prepare } = await import('./commands/images.js')
    const { lines, done } = await prepare(nextBootRoot(process.env), process.env, first === 'boot')
    printLines(lines)
    return done ? 0 : 1
  }
  if (name === 'watch' && Number(first) > 0 && [undefined, 'container'].includes(second))
    return watch(inputRoot(process.env), Number(first), second === 'container')
  throw new Error('usage: hostext.cjs NORMAL [EARLY LATE] | prepare [boot] | watch SECONDS [container]')
}

function fail({ message }: Error): void {
  log({ level: 'error', text: message })
  process.exitCode = 1
}
