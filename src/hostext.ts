import { generate } from './generator.js'
import { log } from './log.js'

/** PID 1 calls a generator with one or three directories (systemd.generator(7)); people call it with words. */
async function main(words: string[]): Promise<number> {
  if ((words.length === 1 || words.length === 3) && words.every((word) => word.startsWith('/'))) {
    return generate(process.env, ...(words as [string, string, string]))
  }
  // Imported here: the generator has no use for it, and start-up is most of what it costs.
  const { command } = await import('./command.js')
  return command(words)
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status
  },
  (error: Error) => {
    log({ level: 'error', text: error.message })
    process.exitCode = 1
  },
)
