import { command } from './commands/command.js'
import { log } from './text/log.js'

/** What people and their programs run: /usr/bin/hostext. Boots have main.ts. */
command(process.argv.slice(2))
  .then((status) => {
    process.exitCode = status
  })
  .catch((error: Error) => {
    log({ level: 'error', text: error.message })
    process.exitCode = 1
  })
