import type { Root } from '../machine/files.js'
import type { Line, Screen } from '../report/screen.js'

/**
 * What a command answers. `document`: for programs, what `--json` prints besides the name of the command and
 * the version of the schema. `lines`: for people. `text`: in the place of lines, text that is printed as it
 * is, because it is a program or a picture. `status`: the exit status.
 */
export type Answer = {
  document: Record<string, unknown>
  lines: Line[]
  text?: string
  status: number
}

/** How a command was called. `words`: those after its name. */
export type Call = {
  root: Root
  environment: NodeJS.ProcessEnv
  words: string[]
  options: Record<string, string | boolean | undefined>
  screen: Screen
}

/** Somebody has called a command in a way that it does not have. */
export class UsageError extends Error {
  override name = 'UsageError'
}
