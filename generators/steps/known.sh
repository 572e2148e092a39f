# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $run, $normal, $decision, $in_container: of the generator
# shellcheck disable=SC2034 # $hash: for remember.sh
# shellcheck disable=SC2030,SC2031 # each sub-shell has its own environment
# Sourced by the generator: decides as an earlier boot did, if everything is as it was then.
#
# Where a stack has booted well, the engine's data has a directory hostext/known:
#
#     paths       what that boot looked at, for find (src/trial/known.ts)
#     sums        hashes: of what find saw there, of the files whose text counts, of the list of containers,
#                 and of the files here
#     ids         that list
#     seen        assignments to variables: what the shell compares itself, and what the boot said
#     head.N      the beginning of a disk
#     units.tar   what it wrote, for /run
#
# Whatever is new, missing or in doubt, the runtime decides. Like the units in it, this is only used if it is
# root's, and only root can write to it. Nothing is written to the disk.
#
# As few processes as can be, each of them with as much to do as can be: find, a hash, tar. What passes
# through the shell costs as well, so the paths do not. (Patterns that dash cuts off the beginning of a text
# take the square of its length.)

nl='
'
# What this boot finds at the paths, the names in the directories of containers, and what fits or does not.
saw=$run.saw ids=$run.ids fit=$run.fit
if command -v b2sum >/dev/null; then
	# It needs no library, and takes a quarter of the time of others.
	hash='b2sum -l 256' check='b2sum --quiet -c'
else
	hash=sha256sum check='sha256sum -c'
fi

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

# see: sets $now to what the shell compares itself: the kernel command line and the mounts.
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
	set +f
	now="$in_container$mattering$nl"
	# Some numbers of mounts differ from boot to boot. (Those that PID 1 makes are no business of ours, nor is
	# the /tmp that only generators see. In the initrd, some are not there yet, or not visible; of services that
	# run on from there, some are still there.)
	while read -r _ _ device top point _ more; do
		case "$point" in
		/proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /run | /run/lock | /run/credentials/* | /tmp) continue ;;
		esac
		case "$device" in 0:*) device= ;; esac
		now="$now$device $top $point ${more#*- }$nl"
	done <"$root/proc/self/mountinfo"
}

# look PATHS: looks at all PATHS; their spelling says what counts (src/trial/known.ts). Writes to $saw what is
# there, and to $ids the names in the directories of containers. Sets $found to the paths of those that must
# be root's, and are, each followed by a space, and of files that had to be read and cannot be.
look() {
	cd "$root/" || return
	kind='%y%m %U %G %p %l\n'
	# (Most paths end at the first test.)
	# shellcheck disable=SC2185 # the paths are in a file
	LC_ALL=C find -files0-from "$1" -maxdepth 1 \
		! -path './*' -prune -printf "$kind" -o \
		! -path '././*' -prune '(' \
		-path './//*' '(' -uid 0 ! -perm /022 -fprintf "$fit" '%p ' -o -true ')' -o \
		-path './/*' -printf '%s %T@ %p\n' -o \
		! -xtype f -fprintf "$fit" '%p ' -o \
		-printf "$kind" ')' -o \
		-path '././/*' -fprintf "$ids" '%f\n' -o \
		-printf '%p\n' >"$saw" 2>/dev/null
	found=
	[ ! -s "$fit" ] || read -r found <"$fit"
	if [ -n "$found" ]; then found="$found "; else look_slowly "$1"; fi
}

# look_slowly PATHS: the same where find has no -files0-from (findutils before 4.9, busybox).
look_slowly() {
	owned='' times='' directories='' names='' stats=''
	IFS=$nl
	set -f
	for path in $(tr '\0' '\n' <"$1"); do
		case "$path" in
		.///*) owned="$owned$path$nl" ;;
		.//*) times="$times$path$nl" ;;
		././/*) directories="$directories$path$nl" ;;
		././*) names="$names$path$nl" ;;
		*)
			case "$path" in ./*) [ -f "$path" ] || return ;; esac
			stats="$stats$path$nl"
			;;
		esac
	done
	# shellcheck disable=SC2046,SC2086 # a path is a line
	for line in $(stat -c '%f %u %n' -- $owned 2>/dev/null); do
		case "$line" in [48]?[02468ace][014589cd]' 0 '*) found="$found${line#* * } " ;; esac
	done
	true >"$ids"
	# shellcheck disable=SC2086
	(
		export LC_ALL=C QUOTING_STYLE=literal
		stat -c '%f %u %g %N' -- $stats
		[ -z "$times" ] || stat -c '%s %y %n' -- $times
		[ -z "$names" ] || ls -1A -- $names
		[ -z "$directories" ] || ls -1A -- $directories >"$ids"
	) >"$saw" 2>/dev/null
	set +f
	unset IFS
}

# has_same_sums: whether everything has its hash. Sets $new if only the list of containers has another one.
has_same_sums() {
	failed=$(
		# A file that has become endless.
		# shellcheck disable=SC3045 # dash, bash and busybox have both
		ulimit -t 5
		LC_ALL=C $check "$known/sums" <"$saw" 2>/dev/null
	)
	IFS=$nl
	result=
	for line in $failed; do
		case "$line" in *': OK') ;; *) result="$result$line;" ;; esac
	done
	unset IFS
	# (The last line never matches: a list that was cut off looks like a shorter one.)
	new=false
	case "$result" in
	'/dev/null: FAILED;') ;;
	'run/hostext.ids: FAILED;/dev/null: FAILED;') new=true ;;
	*) return 1 ;;
	esac
}

# are_ordinary DIRECTORY DRIVER ID...: whether these containers are none that the runtime would speak of.
are_ordinary() {
	driver=$2
	cd "$root/$1" || return
	shift 2
	# (Of no files, grep would read standard input.)
	[ $# -gt 0 ] || return 0
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

# has_ordinary_news: whether the containers that are new are ordinary ones. (Those of the stack are looked at
# one by one.)
has_ordinary_news() {
	# Of several directories nobody knows here where an ID comes from. Of several drivers, the containers that
	# are there tell which one is in use.
	case "$containers" in *"$nl"* | *' '*' '*) return 1 ;; *' '*) ;; *) return 1 ;; esac
	# Those that are listed once are new.
	# shellcheck disable=SC2046 # a word is an ID
	are_ordinary "${containers% *}" "${containers#* }" \
		$(LC_ALL=C sort "$ids" "$known/ids" "$known/ids" | LC_ALL=C uniq -u)
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
	[ -f "$known/sums" ] && [ -f "$known/paths" ] && [ ! -h "$known" ] || return
	look "$known/paths"
	own=.//$1
	[ "$found" = "$own $own/hostext $own/hostext/known $own/hostext/known/sums " ] && has_same_sums || return
	containers='' heads='' expected='' said=''
	# (`command`: or an error in it would end the shell.)
	# shellcheck source=/dev/null
	command . "$known/seen" 2>/dev/null || return
	see
	# shellcheck disable=SC2154 # `seen` sets it
	[ "$now" = "$expected$nl" ] && { ! $new || has_ordinary_news; } && has_same_disks
}

# replay_known: writes what was written then, and says what was said.
replay_known() {
	# Not the times and owners: both are those of now, and of root.
	tar -xomf "$known/units.tar" -C "$root/run" 2>/dev/null && [ -s "$decision" ] || return
	IFS=$nl
	for line in $said; do
		case "$line" in
		'error: '*) log 3 "${line#error: }" ;;
		'warning: '*) log 4 "${line#warning: }" ;;
		*) log 5 "$line" ;;
		esac
	done
	unset IFS
}
