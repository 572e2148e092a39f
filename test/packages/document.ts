import { REASONS } from './reasons.js'
import { type Result, summary, table } from './table.js'

/** The documentation of what was measured: docs/packages.md. */
export function document(results: readonly Result[]): string {
  return `# Debian packages as extensions

Written by \`npm run test:packages -- --write\`. Each package is tried in three forms on the same machine (Debian,
booted in systemd-nspawn): *installed* by apt in the root; in an *image*, a minimal Debian without an init in
which it was installed, as \`FROM debian\` and \`apt-get install\` make it; and *unpacked* with \`dpkg -x\`, together
with what it needs, so that no script of a package ever ran. An image is one extension with all packages of a set.

- *run*: units that run or have run and succeeded, and a real request that is answered (HTTP, SQL, SSH, DNS, MQTT …).
- *known*: unit files, udev rules, lines of modules-load.d, sysctl.d, sysusers.d and tmpfiles.d, shared libraries.
- *as installed*: enabled units, users and groups, owners and modes below /etc, /var and /run.

What does not run when it is installed does not count: a container has no devices, and cannot set the clock.

${summary(results)
  .map((line) => `- ${line}`)
  .join('\n')}

${table(results, REASONS)}
`
}
