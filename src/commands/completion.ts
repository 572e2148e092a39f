import { type Answer, type Call, UsageError } from './answer.js'
import { COMMON_OPTIONS, type Option, VERBS, type Verb } from './verbs.js'

/** `hostext completion bash|zsh`: a program for that shell, made of the list of commands. */
export function showCompletion({ words: [shell = ''] }: Call): Answer {
  const make = Object.hasOwn(SHELLS, shell) && SHELLS[shell as keyof typeof SHELLS]
  if (!make) throw new UsageError('completion: SHELL is bash or zsh')
  const text = make(Object.entries(VERBS))
  return { document: { shell, program: text }, lines: [], text, status: 0 }
}

const SHELLS = { bash, zsh }

/** Only names that mean nothing to a shell: bash expands the words of a list once more. */
const NAMES = "$(hostext list --names --all 2>/dev/null | grep -xE '[A-Za-z0-9][A-Za-z0-9_.-]*')"

type Verbs = [name: string, verb: Verb][]

/** bash(1), "Programmable Completion". */
function bash(verbs: Verbs): string {
  const cases = verbs.map(([name, verb]) => {
    const { complete } = verb
    const words = complete === 'names' ? NAMES : Array.isArray(complete) ? complete.join(' ') : ''
    const files = complete === 'files' ? '\n\t\tCOMPREPLY+=($(compgen -f -- "$current"))' : ''
    return `	${name})
		words="${[...optionWords(verb), words].filter(Boolean).join(' ')}"${files}
		;;`
  })
  const all = [COMMON_OPTIONS, ...verbs.map(([, { options }]) => options)].flatMap(Object.entries<Option>)
  // The word after one of these is no command.
  const withValue = all.flatMap(([name, { value }]) => (value === undefined ? [] : `--${name}:*`))
  return `# Completion of hostext(8) for bash. Made by "hostext completion bash".
_hostext() {
	local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} words= verb= word before=
	COMPREPLY=()
	case $previous in
	--root) COMPREPLY=($(compgen -d -- "$current")); return ;;
	--svg) COMPREPLY=($(compgen -f -- "$current")); return ;;
	esac
	for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
		case $before:$word in
		${withValue.join(' | ')}) ;;
		*:-*) ;;
		*) verb=$word; break ;;
		esac
		before=$word
	done
	case $verb in
	'') words="${[...verbs.map(([name]) => name), ...names(COMMON_OPTIONS)].join(' ')}" ;;
${cases.join('\n')}
	esac
	COMPREPLY+=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _hostext hostext
`
}

/** zshcompsys(1). */
function zsh(verbs: Verbs): string {
  const described = verbs.map(([name, { help }]) => `\t\t'${name}:${quoted(help)}'`)
  const cases = verbs.map(([name, verb]) => {
    const { complete, words } = verb
    const what =
      complete === 'names'
        ? `"1:${words}:(${NAMES})"`
        : complete === 'files'
          ? `'1:${words}:_files'`
          : Array.isArray(complete)
            ? `'1:${words}:(${complete.join(' ')})'`
            : ''
    return `	${name}) _arguments ${[...zshOptions({ ...verb.options, ...COMMON_OPTIONS }), what].filter(Boolean).join(' ')} ;;`
  })
  return `#compdef hostext
# Completion of hostext(8) for zsh. Made by "hostext completion zsh".
_hostext() {
	local -a verbs
	verbs=(
${described.join('\n')}
	)
	if (( CURRENT == 2 )); then
		_describe command verbs
		return
	fi
	shift words
	(( CURRENT-- ))
	case $words[1] in
${cases.join('\n')}
	esac
}
_hostext "$@"
`
}

function optionWords({ options }: Verb): string[] {
  return names({ ...options, ...COMMON_OPTIONS })
}

function names(options: Record<string, Option>): string[] {
  return Object.keys(options).map((name) => `--${name}`)
}

function zshOptions(options: Record<string, Option>): string[] {
  return Object.entries(options).map(([name, { value, help }]) => {
    const files = value === 'DIR' ? '_files -/' : '_files'
    return `'--${name}[${quoted(help)}]${value === undefined ? '' : `:${value}:${files}`}'`
  })
}

/** For a description in single quotes: without what ends them, or a description. */
function quoted(text: string): string {
  return text.replace(/[':[\]\\]/g, ' ')
}
