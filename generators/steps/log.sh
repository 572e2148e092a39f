# shellcheck shell=sh
# For the scripts beside it, which go on without it where it cannot be read.

# log LEVEL TEXT: a line of the kernel log, which the serial console shows. A container has none, but a console.
log() {
	if [ -w /dev/kmsg ]; then printf '<%s>hostext: %s\n' "$1" "$2" >/dev/kmsg; else printf 'hostext: %s\n' "$2" >/dev/console; fi
}

# warn TEXT, fail TEXT: the same, and a line of `hostext status`.
warn() {
	log 4 "$1"
	printf 'warning: %s\n' "$1" >>/run/hostext.decision
}
fail() {
	log 3 "$1"
	printf 'error: %s\n' "$1" >>/run/hostext.decision
}
