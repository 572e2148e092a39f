# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $run, $normal, $decision, $in_container: of the generator
# Sourced by the generator: decides as an earlier boot did, if everything is as it was then.
#
# Where a stack has booted well, the engine's data has a directory hostext/known:
#
#     seen        assignments to variables: what that boot looked at (src/trial/known.ts), the names in the
#                 directories of containers, the hash of units.tar, and what was there
#     head.N      the beginning of a disk
#     units.tar   what it wrote, for /run
#
# Whatever is new, missing or in doubt, the runtime decides. Like the units in it, this is only used if it is
# root's, and only root can write to it. Nothing is written to the disk.
# As few processes as can be: each costs as much as all the built-in commands here. (Patterns that dash cuts
# off the beginning of a text take the square of its length.)

nl='
'

# matters WORD...: sets $mattering to those words of a kernel command line that the decision depends on. A
# boot loader may have others that differ from boot to boot.
matters() {
	mattering=
	for word; do
		case "$word" in
		# Quotes: the kernel splits it in another way.
		*'"'*) mattering=" $*" && return ;;
		systemd.* | balena* | mobynit* | hostext* | roothash* | usrhash*) ;;
		ro | rw | emergency | rescue | single | s | S | [1-5] | -b) ;;
		*) continue ;;
		esac
		mattering="$mattering $word"
	done
}

# see [FILE]: sets $saw to what is there now at the paths in $texts, $stats, $times and $names, and to the
# hash of the file.
see() {
	set -f
	if $in_container; then
		IFS=$nl
		# shellcheck disable=SC2046 # one argument of PID 1 a line
		matters container $(tr '\0' '\n' <"$root/proc/1/cmdline")
	else
		unset IFS
		read -r words <"$root/proc/cmdline"
		# shellcheck disable=SC2086
		matters $words
	fi
	unset IFS
	saw="$in_container$mattering$nl"
	# Some numbers of mounts differ from boot to boot. (Those below /proc and /sys are no business of ours.)
	while read -r _ _ device top point _ more; do
		case "$point" in /proc/* | /sys/*) continue ;; esac
		case "$device" in 0:*) device= ;; esac
		saw="$saw$device $top $point ${more#*- }$nl"
	done <"$root/proc/self/mountinfo"
	IFS=$nl
	# shellcheck disable=SC2086 # one path a line
	saw=$saw$(
		cd "$root/" || exit
		exec 2>/dev/null
		# A file that has become endless.
		# shellcheck disable=SC3045 # dash, bash and busybox have both
		ulimit -t 5
		export LC_ALL=C QUOTING_STYLE=literal
		stat -c '%f %u %g %N' -- $stats
		[ -z "$times" ] || stat -c '%s %y %n' -- $times
		[ -z "$names" ] || ls -1A -- $names
		last=${1-}
		set --
		# Nothing that would wait for somebody to write.
		for path in $texts; do [ ! -f "$path" ] || set -- "$@" "$path"; done
		exec sha256sum -- "$@" ${last:+"$last"}
	)
	set +f
	unset IFS
}

# list DIRECTORY: sets $listed to the names in it.
list() {
	cd "$root/$1" || return
	set -- * .[!.]*
	listed=$*
}

# are_ordinary DIRECTORY DRIVER ID...: whether these containers are none that the runtime would speak of.
are_ordinary() {
	driver=$2
	cd "$root/$1" || return
	shift 2
	[ $# -le 2000 ] || return
	count=$# directories="$*"
	for id; do
		case "$id" in *[!0-9a-f]*) return 1 ;; esac
		[ ${#id} = 64 ] && [ ! -h "$id/config.v2.json" ] && [ -f "$id/config.v2.json" ] || return
		set -- "$@" "$id/config.v2.json"
		shift
	done
	# Written by nobody but root.
	# shellcheck disable=SC2086 # a word is an ID
	for line in $(stat -c '%f:%u' -- $directories "$@" 2>/dev/null); do
		case "$line" in [48]?[02468ace][014589cd]:0) ;; *) return 1 ;; esac
	done
	# As in the search of the generator.
	labels='features\.host-extension|io\.balena\.image\.class|io\.hostext\.hold'
	# shellcheck disable=SC2013 # no line has a space
	for line in $(grep -ohsE "$labels|\"Driver\":\"[a-z0-9-]*\",\"OS\":" -- "$@"); do
		[ "$line" = "\"Driver\":\"$driver\",\"OS\":" ] || return
		count=$((count - 1))
	done
	[ "$count" = 0 ]
}

# has_same_containers: whether all containers are there that were ($ids: a line for each of $containers), and
# only ordinary ones are new.
has_same_containers() {
	IFS=$nl
	set -f
	# shellcheck disable=SC2086 # one directory a line
	set -- $ids
	for line in $containers; do
		unset IFS
		set +f
		list "${line%% *}" || return
		set -f
		if [ "$listed" != "$1" ]; then
			# Of several drivers, the containers that are there tell which one is in use.
			case "$line" in *' '*' '*) return 1 ;; *' '*) ;; *) return 1 ;; esac
			# Those that are listed once are new.
			# shellcheck disable=SC2086 # a word is an ID
			new=$(printf '%s\n' $listed $1 $1 | sort | uniq -u)
			# shellcheck disable=SC2086
			are_ordinary "${line%% *}" "${line#* }" $new || return
		fi
		shift
	done
	unset IFS
	set +f
}

# has_same_disks
has_same_disks() {
	number=0
	IFS=$nl
	for line in $heads; do
		unset IFS
		cmp -s -n "${line%% *}" -- "$known/head.$number" "$root/${line#* }" || return
		number=$((number + 1))
	done
	unset IFS
}

# is_known PLACE: whether this boot is to be decided as the one that is kept in PLACE, a directory with an
# engine's data. Sets $known to the directory.
is_known() {
	known=$root$1/hostext/known
	[ -f "$known/seen" ] && [ ! -h "$known" ] || return
	# Three directories of root's, to which nobody else can write, and a file.
	own='?[02468ace][014589cd] 0'
	# shellcheck disable=SC2254 # patterns
	case "$(stat -c '%f %u' -- "$root$1" "$root$1/hostext" "$known" "$known/seen" 2>/dev/null)" in
	4$own"$nl"4$own"$nl"4$own"$nl"8$own) ;;
	*) return 1 ;;
	esac
	expected='' whole=''
	# (`command`: or an error in it would end the shell.)
	# shellcheck source=/dev/null
	command . "$known/seen" 2>/dev/null && [ "$whole" = yes ] || return
	# shellcheck disable=SC2154 # it sets them
	see "$known/units.tar" && [ "$saw" = "$expected$nl$sum  $known/units.tar" ] &&
		has_same_containers && has_same_disks
}

# replay_known: writes what was written then, and says what was said.
replay_known() {
	tar -xf "$known/units.tar" -C "$root/run" 2>/dev/null && [ -s "$decision" ] || return
	while read -r line; do
		case "$line" in
		'error: '*) log 3 "${line#error: }" ;;
		'warning: '*) log 4 "${line#warning: }" ;;
		*) log 5 "$line" ;;
		esac
	done <"$decision"
}

# quoted NAME TEXT: an assignment.
quoted() {
	printf "%s='%s'\n" "$1" "$(printf '%s\n' "$2" | sed "s/'/'\\\\''/g")"
}

# remember: sets aside what the runtime has just decided, for `keep` to write to the disk.
remember() {
	# shellcheck source=/dev/null
	command . "$run/seen" && mkdir "$run/known" "$run/known/hostext" "$run/known/systemd" && see || return
	ids=
	IFS=$nl
	for line in $containers; do
		unset IFS
		list "${line%% *}" || return
		ids="$ids$listed$nl"
	done
	unset IFS
	number=0
	IFS=$nl
	for line in $heads; do
		unset IFS
		head -c "${line%% *}" "$root/${line#* }" >"$run/known/head.$number" || return
		number=$((number + 1))
	done
	unset IFS
	set --
	for file in "$run"/*; do
		case "${file##*/}" in
		# What is not made by the decision.
		known | seen | waiting | collected | generated | unprepared | *.log) ;;
		*) set -- "$@" "$file" ;;
		esac
	done
	cp -RP "$@" "$run/known/hostext/" || return
	for name in generator generator.early; do mkdir "$run/known/systemd/$name" || return; done
	cp -RP "$run/layers/normal/." "$run/first/normal/." "$run/known/systemd/generator/" &&
		cp -RP "$run/first/early/." "$run/known/systemd/generator.early/" &&
		cp -P "$decision" "$run/known/" || return
	# The link that starts hostext.target comes after all that it needs, and the decision is the last of all.
	cd "$run/known" || return
	link=
	set --
	for file in systemd/generator.early/* systemd/generator/*; do
		if [ -h "$file" ] && [ "$(readlink "$file")" = "$normal/hostext.target" ]; then
			link=$file
		elif [ -e "$file" ] || [ -h "$file" ]; then
			set -- "$@" "$file"
		fi
	done
	tar -cf units.tar hostext "$@" ${link:+"$link"} hostext.decision || return
	sum=$(sha256sum units.tar) || return
	{
		cat "$run/seen"
		quoted ids "$ids"
		quoted sum "${sum%% *}"
		quoted expected "$saw"
		echo whole=yes
	} >seen
	rm -rf hostext systemd hostext.decision "$run/seen"
}
