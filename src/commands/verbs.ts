/**
 * What the command can do: the help, the completion of shells and the check of the manual are made of this.
 * A verb that is not here does not exist.
 */
export type Verb = {
  /** The words after its name, as the help shows them. */
  words: string
  /** How many there may be. */
  least: number
  most: number
  /** What a shell completes them with. */
  complete: 'names' | 'files' | 'none' | readonly string[]
  /**
   * What it looks at: the root, of which everybody may see something; or what engines have, which only root
   * sees on a running machine. Undefined for one that does without, or looks by itself.
   */
  reads?: 'root' | 'engines'
  /** Its options besides those that all have. */
  options: Record<string, Option>
  help: string
}

/** `value`: what it takes; undefined if it takes nothing. */
export type Option = { value?: string; help: string }

export const COMMON_OPTIONS: Record<string, Option> = {
  root: {
    value: 'DIR',
    help: 'for the system below DIR, which need not be running; HOSTEXT_ROOT does the same',
  },
  json: { help: 'for programs: hostext.schema.json in /usr/lib/hostext describes it' },
  help: { help: 'show the help' },
  version: { help: 'show the version' },
}

const NONE = { words: '', least: 0, most: 0, complete: 'none', options: {} } as const

export const VERBS = {
  status: {
    reads: 'root',
    ...NONE,
    options: {
      graph: { help: 'show the stack as a figure' },
      svg: { value: 'FILE', help: 'write it as a picture' },
    },
    help: 'show what is stacked, what is not and why, and what the next boot will do',
  },
  list: {
    reads: 'root',
    ...NONE,
    options: {
      all: { help: 'also those that only earlier boots know' },
      names: { help: 'only the names' },
    },
    help: 'list the extensions, one in each line',
  },
  diff: { reads: 'engines', ...NONE, help: 'show what the next boot does in another way than this one' },
  show: {
    reads: 'engines',
    ...{ words: 'NAME', least: 1, most: 1, complete: 'names' },
    options: { all: { help: 'show all paths' } },
    help: 'show what an extension is, and what it does in the root',
  },
  which: {
    reads: 'engines',
    ...{ words: 'PATH', least: 1, most: 1, complete: 'files', options: {} },
    help: 'show who provides a file of the root, and what is below it',
  },
  log: { reads: 'root', ...NONE, help: 'show what was said in this boot' },
  check: {
    ...{ words: 'IMAGE', least: 1, most: 1, complete: 'files' },
    options: {
      'fail-on': { value: 'LEVEL', help: 'error, warning or notice: the least that is not good' },
      image: { value: 'NAME', help: 'which of several images in an archive' },
      'no-root': { help: 'look at the image alone, and compare it with no root' },
    },
    help: 'say what an image, a container, a directory or an archive would be as an extension',
  },
  plan: {
    reads: 'engines',
    ...NONE,
    help: 'show what the next boot would stack, and what it would leave out and why',
  },
  prepare: {
    reads: 'engines',
    ...NONE,
    help: 'prepare the images of extensions for the next boot, and show what is kept',
  },
  changes: { reads: 'engines', ...NONE, help: 'list what has been changed in a persistent /etc' },
  rollback: {
    reads: 'engines',
    ...NONE,
    options: { now: { help: 'give up the stack of now: the next boot takes the one before it' } },
    help: 'show whether rollback works here, and which stacks are good or were tried',
  },
  retry: { reads: 'engines', ...NONE, help: 'forget failed trials: the next boot tries that stack again' },
  completion: {
    ...{ words: 'SHELL', least: 1, most: 1, complete: ['bash', 'zsh'], options: {} },
    help: 'print what makes bash or zsh complete this command',
  },
  help: {
    ...{ words: '[COMMAND]', least: 0, most: 1, complete: 'none', options: {} },
    help: 'show this text',
  },
  version: { ...NONE, help: 'show the version' },
} as const satisfies Record<string, Verb>

export type VerbName = keyof typeof VERBS

/** Widens an entry of {@link VERBS}; undefined for another name. */
export function findVerb(name: string): Verb | undefined {
  return Object.hasOwn(VERBS, name) ? VERBS[name as VerbName] : undefined
}

/** The help on one verb, or on all. */
export function usage(name?: string): string {
  const verb = name === undefined ? undefined : findVerb(name)
  if (!verb) {
    const commands = Object.entries(VERBS).map(([verb, { words, help }]) =>
      item([verb, words].filter(Boolean).join(' '), help),
    )
    return `hostext COMMAND

Commands:
${commands.join('')}
Options of all commands:
${optionLines(COMMON_OPTIONS)}
"hostext COMMAND --help" shows the options of one; hostext(8) is the manual.
`
  }
  const own = Object.keys(verb.options).length > 0 ? `\nOptions:\n${optionLines(verb.options)}` : ''
  const rest = verb.words ? ` ${verb.words}` : ''
  return `hostext ${name}${rest}\n\n${sentence(verb.help)}\n${own}\nOptions of all commands:\n${optionLines(COMMON_OPTIONS)}`
}

function optionLines(options: Record<string, Option>): string {
  return Object.entries(options)
    .map(([name, { value, help }]) => item(`--${name}${value === undefined ? '' : ` ${value}`}`, help))
    .join('')
}

function item(left: string, right: string): string {
  return `  ${left.padEnd(17)} ${right}\n`
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
}
