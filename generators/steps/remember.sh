# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $run, $normal, $decision: of the generator; others of known.sh
# Sourced by the generator after known.sh, when the runtime has decided what later boots may decide again.

# quoted NAME TEXT: an assignment.
quoted() {
	printf "%s='%s'\n" "$1" "$(printf '%s\n' "$2" | sed "s/'/'\\\\''/g")"
}

# remember: sets aside what the runtime has just decided, for `keep` to write to the disk.
remember() {
	# shellcheck source=/dev/null
	command . "$run/seen" || return
	mkdir "$run/known" "$run/known/hostext" "$run/known/systemd" && see && look "$run/paths" || return
	# A file that had to be read is none any more.
	case " $found" in *' ./'[!/]*) return 1 ;; esac
	mv "$run/paths" "$run/known/" && cp "$ids" "$run/known/ids" || return
	number=0
	IFS=$nl
	for line in $heads; do
		unset IFS
		head -c "${line%% *}" "$root/${line#* }" >"$run/known/head.$number" || return
		number=$((number + 1))
	done
	unset IFS
	collect_units && make_sums &&
		rm -rf "$run/known/hostext" "$run/known/systemd" "$run/known/hostext.decision" "$run/seen"
}

# collect_units: makes units.tar.
collect_units() {
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
		cp -P "$decision" "$run/known/" && cd "$run/known" || return
	# What the second pass replays, under the names of its directories: one cp for all.
	mkdir -p hostext/replay/1 hostext/replay/2 && ln -s ../../layers/normal hostext/replay/1/generator || return
	for name in normal early late; do
		case "$name" in normal) suffix= ;; *) suffix=.$name ;; esac
		[ ! -d "hostext/locked/$name" ] ||
			ln -s "../../locked/$name" "hostext/replay/2/generator$suffix" || return
	done
	# The link that starts hostext.target comes after all that it needs, and the decision is the last of all.
	link=
	set --
	for file in systemd/generator.early/* systemd/generator/*; do
		if [ -h "$file" ] && [ "$(readlink "$file")" = "$normal/hostext.target" ]; then
			link=$file
		elif [ -e "$file" ] || [ -h "$file" ]; then
			set -- "$@" "$file"
		fi
	done
	tar -cf units.tar hostext "$@" ${link:+"$link"} hostext.decision
}

# make_sums: makes `seen` and `sums`.
make_sums() {
	{
		cat "$run/seen"
		quoted expected "$now"
		quoted said "$(cat "$decision")"
	} >"$run/known/seen"
	cd "$root/" || return
	texts=$(tr '\0' '\n' <"$run/known/paths" | grep '^\./[^/.]\|^\./\.[^/]')
	{
		set -f
		unset IFS
		# shellcheck disable=SC2154 # `seen` sets it
		for name in seen units.tar; do
			sum=$($hash <"$run/known/$name") && printf '%s  %s\n' "${sum%% *}" "$data/hostext/known/$name"
		done || return
		line=$hash
		# shellcheck disable=SC2086
		set -- $line
		IFS=$nl
		# shellcheck disable=SC2086 # one path a line
		"$@" - $texts run/hostext.ids <"$saw" || return
		set +f
		unset IFS
		printf '%064d  /dev/null\n' 0
	} >"$run/known/sums"
}
