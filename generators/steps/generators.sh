# shellcheck shell=sh
# shellcheck disable=SC2154 # $root: of the generator
# Sourced by the generator where no container is an extension: sets $more to a text that names the generators
# that may make mounts, as src/machine/other-generators.ts finds them.

set --
names=' '
for directory in /run /etc /usr/local/lib /usr/lib; do
	for file in "$root$directory"/systemd/system-generators/*; do
		name=${file##*/}
		case "$name" in systemd-* | hostext-* | *[!A-Za-z0-9:_.@-]* | podman-system-generator) continue ;; esac
		# The first one of a name counts. A link to /dev/null masks it.
		case "$names" in *" $name "*) continue ;; esac
		names="$names$name "
		[ ! -f "$file" ] || set -- "$@" "$file"
	done
done
if [ $# -gt 0 ]; then
	# shellcheck disable=SC2013 # no name has a space
	for name in $(LC_ALL=C grep -lsF .mount -- "$@"); do
		more="$more${more:+, }${name##*/}"
	done
	more="${more:+; not known yet: the mounts of $more}"
fi
