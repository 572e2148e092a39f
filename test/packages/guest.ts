import { BASE_REPORT } from '../boot/checks.js'
import type { PackageSet } from './sets.js'

/** Kinds of configuration that systemd merges from several directories: systemd-analyze(1), `cat-config`. */
export const CONFIGURATION = [
  'udev/rules.d',
  'modules-load.d',
  'sysctl.d',
  'sysusers.d',
  'tmpfiles.d',
] as const

/** What every machine of a set reports about itself, and the answers to the requests of the set. */
export function guestScript({ packages }: PackageSet): string {
  const requests = packages.flatMap(({ name, request }) =>
    request ? [`try request:${name} ${quote(request.answer)} ${quote(request.command)}`] : [],
  )
  return `
${BASE_REPORT}ask='ask() { exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; timeout 2 cat <&3; }
askudp() { exec 3<>/dev/udp/127.0.0.1/$1; printf "$2" >&3; timeout 2 cat <&3; }'
# try KEY ANSWER COMMAND: services may take a moment until they answer.
try() {
	for attempt in $(seq 8); do
		answer=$(bash -c "$ask
$3" 2>&1 </dev/null | tr -d '\\000' | head -c 2000)
		if printf '%s\\n' "$answer" | grep -qE -e "$2"; then report "$1" echo yes; return; fi
		sleep 1
	done
	report "$1" printf 'no: %s' "$answer"
}
${requests.join('\n')}
report units systemctl list-unit-files --no-legend --no-pager
report states systemctl list-units --all --plain --no-legend --no-pager
# Of a service that has ended, and that nothing else refers to, only the journal knows. One that was skipped for
# its conditions has the same fields, and another text.
started() {
	journalctl -b _PID=1 JOB_TYPE=start JOB_RESULT=done -o export --output-fields=UNIT,MESSAGE |
		awk -v RS= '/(^|\\n)MESSAGE=(Started|Finished) /' | sed -n 's/^UNIT=//p' | sort -u
}
report started started
report passwd getent passwd
report group getent group
report files find /etc /var /run -xdev ! -path '/var/lib/docker/*' ! -path '/var/lib/dpkg/*' ! -path '/run/hostext/*' -printf '%y %m %u:%g %p\\n'
# Those that the loader finds, of those that are in its directories. The cache need not have all of them.
libraries() {
	names=$(ldconfig -NXv 2>/dev/null | sed -n 's/^\\t\\([^ ]*\\) -> .*/\\1/p' | sort -u | tr '\\n' ' ')
	LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD=$names /bin/true 2>/dev/null | sed -n 's/^\\t\\([^ ]*\\) => .*/\\1/p' | sort -u
}
report libraries libraries
${CONFIGURATION.map((name) => `report config:${name} systemd-analyze cat-config --no-pager ${name}`).join('\n')}
`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
