#compdef hostext
# Completion of hostext(8) for zsh. Made by "hostext completion zsh".
_hostext() {
	local -a verbs
	verbs=(
		'status:show what is stacked, what is not and why, and what the next boot will do'
		'list:list the extensions, one in each line'
		'diff:show what the next boot does in another way than this one'
		'show:show what an extension is, and what it does in the root'
		'which:show who provides a file of the root, and what is below it'
		'log:show what was said in this boot'
		'plan:show what the next boot would stack, and what it would leave out and why'
		'prepare:prepare the images of extensions for the next boot, and show what is kept'
		'changes:list what has been changed in a persistent /etc'
		'rollback:show whether rollback works here, and which stacks are good or were tried'
		'retry:forget failed trials  the next boot tries that stack again'
		'completion:print what makes bash or zsh complete this command'
		'help:show this text'
		'version:show the version'
	)
	if (( CURRENT == 2 )); then
		_describe command verbs
		return
	fi
	shift words
	(( CURRENT-- ))
	case $words[1] in
	status) _arguments '--graph[show the stack as a figure]' '--svg[write it as a picture]:FILE:_files' '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	list) _arguments '--all[also those that only earlier boots know]' '--names[only the names]' '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	diff) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	show) _arguments '--all[show all paths]' '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' "1:NAME:($(hostext list --names --all 2>/dev/null | grep -xE '[A-Za-z0-9][A-Za-z0-9_.-]*'))" ;;
	which) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' '1:PATH:_files' ;;
	log) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	plan) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	prepare) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	changes) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	rollback) _arguments '--now[give up the stack of now  the next boot takes the one before it]' '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	retry) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	completion) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' '1:SHELL:(bash zsh)' ;;
	help) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	version) _arguments '--root[for the system below DIR, which need not be running; HOSTEXT_ROOT does the same]:DIR:_files -/' '--json[for programs  the schema is docs/hostext.schema.json]' '--help[show the help]' '--version[show the version]' ;;
	esac
}
_hostext "$@"
