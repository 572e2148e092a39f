import { command } from './commands/command.js'
import { log } from './text/log.js'

/** What people and their programs run: /usr/bin/hostext. Boots have main.ts. */
command(process.argv.slice(2))
  .catch((error: Error) => {
    log({ level: 'error', text: error.message })
    return 1
  })
  // Everything is printed. A normal exit takes time that somebody would wait for.
  .then((status) => process.exit(status))
