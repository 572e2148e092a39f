# shellcheck shell=sh
# Sourced by the scripts beside it. They also work without it, if it cannot be read.

# An image's programs in /usr/local are not for these scripts.
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# log LEVEL TEXT: writes a line to the kernel log, which the serial console shows; in a container, to the
# console. The kernel refuses one of 1024 bytes.
log() {
	if [ -w /dev/kmsg ]; then printf '<%s>hostext: %.900s\n' "$1" "$2" >/dev/kmsg; else printf 'hostext: %s\n' "$2" >/dev/console; fi
}

# event MESSAGE_ID PRIORITY TEXT: sends an entry to the journal, if it runs: src/report/journal.ts.
event() {
	printf '%s\n' "MESSAGE_ID=$1" "PRIORITY=$2" "MESSAGE=$3" SYSLOG_IDENTIFIER=hostext \
		OBJECT_SYSTEMD_UNIT=hostext.target | logger --journald 2>/dev/null
}

# warn TEXT, fail TEXT: the same, and a line for `hostext status`.
warn() {
	log 4 "$1"
	printf 'warning: %s\n' "$1" >>/run/hostext.decision
}
fail() {
	log 3 "$1"
	printf 'error: %s\n' "$1" >>/run/hostext.decision
}
