# Completion of hostext(8) for bash. Made by "hostext completion bash".
_hostext() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= verb= word
	COMPREPLY=()
	case $previous in
	--root) COMPREPLY=($(compgen -d -- "$current")); return ;;
	--svg) COMPREPLY=($(compgen -f -- "$current")); return ;;
	esac
	for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
		case $word in
		-*) ;;
		*) verb=$word; break ;;
		esac
	done
	case $verb in
	'') words="status list diff show which log plan prepare changes rollback retry completion help version --root --json --help --version" ;;
	status)
		words="--graph --svg --root --json --help --version"
		;;
	list)
		words="--all --names --root --json --help --version"
		;;
	diff)
		words="--root --json --help --version"
		;;
	show)
		words="--all --root --json --help --version $(hostext list --names --all 2>/dev/null | grep -xE '[A-Za-z0-9][A-Za-z0-9_.-]*')"
		;;
	which)
		words="--root --json --help --version"
		COMPREPLY+=($(compgen -f -- "$current"))
		;;
	log)
		words="--root --json --help --version"
		;;
	plan)
		words="--root --json --help --version"
		;;
	prepare)
		words="--root --json --help --version"
		;;
	changes)
		words="--root --json --help --version"
		;;
	rollback)
		words="--now --root --json --help --version"
		;;
	retry)
		words="--root --json --help --version"
		;;
	completion)
		words="--root --json --help --version bash zsh"
		;;
	help)
		words="--root --json --help --version"
		;;
	version)
		words="--root --json --help --version"
		;;
	esac
	COMPREPLY+=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _hostext hostext
