import { command } from './commands/command.js'
import { generate } from './generator.js'
import { log } from './text/log.js'

// PID 1 calls a generator with one or three directories (systemd.generator(7)); people call it with commands.
const words = process.argv.slice(2)
try {
  if ((words.length === 1 || words.length === 3) && words.every((word) => word.startsWith('/'))) {
    generate(process.env, ...(words as [string, string, string]))
    // Everything is written. A normal exit takes time that the boot would wait for.
    process.exit(0)
  }
} catch (error) {
  log({ level: 'error', text: (error as Error).message })
  process.exit(1)
}

command(words)
  .then((status) => {
    process.exitCode = status
  })
  .catch((error: Error) => {
    log({ level: 'error', text: error.message })
    process.exitCode = 1
  })
