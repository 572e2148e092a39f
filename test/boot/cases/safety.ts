import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from '../cache.js'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked, MARKED } from '../checks.js'
import { dataRoot, type ExtensionSource } from '../engine.js'
import { FEATURE, setAside, standardDataRoot, update } from '../extensions.js'
import { reported } from '../machine.js'

/** An image with these labels and these text files. */
function image(
  name: string,
  labels: Record<string, string>,
  files: Record<string, string> = {},
): ExtensionSource {
  const lines = Object.entries(labels).map(([label, value]) => `LABEL io.balena.image.${label}="${value}"\n`)
  return {
    name,
    dockerfile: `FROM scratch\n${FEATURE}\n${lines.join('')}COPY tree /\n`,
    files: Object.fromEntries(
      Object.entries({ [`/usr/share/safety/${name}`]: `${name}\n`, ...files }).map(([path, text]) => [
        `tree${path}`,
        text,
      ]),
    ),
  }
}

/**
 * A file that stands for the running kernel in images, and its ID, as on the kernel command line of balenaOS.
 */
const KERNEL = 'the kernel\n'
export const KERNEL_ABI = createHash('sha256').update(KERNEL).digest('hex')

/**
 * Images that fit a machine of this kernel, {@link KERNEL_ABI} and VERSION_ID 12 or 13, and images that do
 * not.
 */
export function labelSources(release: string): { fit: ExtensionSource[]; unfit: ExtensionSource[] } {
  const version = release.split('-', 1)[0] as string
  const modules = { [`/usr/lib/modules/${release}/extra/x.ko`]: 'x\n' }
  return {
    fit: [
      image('kernel-fits', { 'kernel-version': version }),
      image('abi-fits', { 'kernel-abi-id': KERNEL_ABI }, { ...modules, '/boot/vmlinuz': KERNEL }),
      image('abi-label-differs', { 'kernel-abi-id': 'abi-2' }, { ...modules, '/boot/vmlinuz': KERNEL }),
      image('abi-without-modules', { 'kernel-abi-id': 'abi-2' }),
      image('os-fits', { 'os-version': '2.*,1[23]' }),
      image('os-unreadable', { 'os-version': '{12,13}' }),
      image('empty-labels', { 'kernel-version': '', 'kernel-abi-id': '', 'os-version': '' }),
    ],
    unfit: [
      image('kernel-differs', { 'kernel-version': '1.2.3' }),
      image(
        'abi-differs',
        { 'kernel-abi-id': KERNEL_ABI },
        { ...modules, '/boot/vmlinuz': 'another kernel\n' },
      ),
      image('abi-without-kernel', { 'kernel-abi-id': KERNEL_ABI }, modules),
      image('os-differs', { 'os-version': '2.*,3.*' }),
    ],
  }
}

const LIBC = '/usr/lib/x86_64-linux-gnu/libc.so.6'
const BUSYBOX = '/opt/busybox'

/** Images that replace what the machine needs to boot, and the file of the root that the message names. */
export const REPLACING: [ExtensionSource, string][] = [
  [image('replaces-init', {}, { '/usr/sbin/init': 'no program\n' }), '/usr/sbin/init'],
  [image('replaces-sbin', {}, { '/sbin/init': 'no program\n' }), '/usr/sbin/init'],
  [image('replaces-libc', {}, { [LIBC]: 'no library\n' }), LIBC],
  [image('replaces-hostext', {}, { '/usr/lib/hostext/switch': 'no script\n' }), '/usr/lib/hostext'],
]
/**
 * Images that would replace it if they were taken as they are: with files behind a link of the root, a
 * deletion.
 */
const HARMLESS: ExtensionSource[] = [
  image('replaces-lib', { override: '1' }, { '/lib/firmware/safety/x': 'x\n' }),
  image('replaces-fstab', {}, { '/etc/fstab': '/dev/nonsense / ext4 rw 0 1\n' }),
]
const WHITEOUT: ExtensionSource = {
  name: 'deletes-usr',
  dockerfile: `FROM scratch\n${FEATURE}\nCOPY busybox ${BUSYBOX}\nCOPY file /usr/file\nCOPY file /safety/deletes-usr\nRUN ["${BUSYBOX}", "rm", "-r", "/usr"]\n`,
  files: { file: 'x\n' },
}

/**
 * Images with a link or a file where the new root has a mount: state, a mount of fstab, one of PID 1's own.
 */
const MISPLACED: [ExtensionSource, string][] = [
  [image('home-is-a-link', {}, { '/home': '->/tmp' }), '/home'],
  [image('var-is-a-file', { override: '1' }, { '/var': 'no directory\n' }), '/var'],
  [image('root-is-a-link', {}, { '/root': '->usr/share/safety' }), '/root'],
  [image('srv-is-a-file', {}, { '/srv': 'no directory\n' }), '/srv'],
  [image('run-is-a-link', {}, { '/run': '->/usr' }), '/run'],
  [image('tmp-is-a-link', {}, { '/tmp': '->home' }), '/tmp'],
  [image('mount-point-is-a-file', {}, { '/opt/mounted': 'no directory\n' }), '/opt/mounted'],
  [image('way-is-a-link', {}, { '/media': '->/usr' }), '/media'],
]

/** Those of them that are emptied in each boot. */
const API = ['/run', '/tmp']

/** Prints the user it runs as: root if it belongs to root, is set-uid, and its mount is not nosuid. */
const SHOWS_USER = `#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%u\\n", (unsigned)geteuid()); return 0; }
`
/** A set-uid program in place of `path`, and a device that everybody can open in place of `path`.device. */
function privileged(name: string, labels: Record<string, string>, path: string): ExtensionSource {
  const made = cached('shows-user', SHOWS_USER, (directory) => {
    writeFileSync(join(directory, 'main.c'), SHOWS_USER)
    mkdirSync(join(directory, 'tree'))
    execFileSync('gcc', ['-static', '-o', 'tree/shows-user', 'main.c'], { cwd: directory })
  })
  const source = image(name, labels)
  return {
    ...source,
    dockerfile: `${source.dockerfile}COPY tree/shows-user ${path}
COPY busybox ${BUSYBOX}
RUN ["${BUSYBOX}", "chmod", "4755", "${path}"]
RUN ["${BUSYBOX}", "mknod", "-m", "666", "${path}.device", "c", "1", "3"]
`,
    tree: join(made, 'tree'),
  }
}

/** Boots that check the compatibility labels and the essential files. */
export function cases(): Case[] {
  const harmless = [...HARMLESS, WHITEOUT]
  const names = REPLACING.map(([{ name }]) => name)
  const fixed = (name: string): string => `${name}-fixed`
  return [
    {
      name: 'safety: images that are for another machine are left out',
      boot: 'uml',
      machine: {
        dataRoot: (release, kernel) => {
          const { fit, unfit } = labelSources(kernel)
          return dataRoot(`labels-${release}`, [...fit, ...unfit])
        },
        commandLine: [`balena_kernel_abi=${KERNEL_ABI}`],
        script: `${BASE_REPORT}\nreport here ls /usr/share/safety\nreport release uname -r\nreport version sh -c '. /etc/os-release; echo "$VERSION_ID"'\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        const { fit, unfit } = labelSources(reported(outcome, 'release'))
        const leftOut = unfit.map(({ name }) => name)
        const here = fit.map(({ name }) => name)
        // An unreleased Debian has no VERSION_ID, so an image for certain versions does not fit.
        if (reported(outcome, 'version') === '') {
          leftOut.push(...here.splice(here.indexOf('os-fits'), 1))
          t.match(reported(outcome, 'decision'), /left out: os-fits .* os-release has no VERSION_ID/)
        }
        t.same(reported(outcome, 'here').split('\n').sort(), here.sort())
        for (const name of leftOut)
          t.match(reported(outcome, 'decision'), new RegExp(`warning: left out: ${name} \\(.*\\): .* for `))
        for (const [name, odd] of [
          ['abi-label-differs', 'its kernel matches balena_kernel_abi=.*, but .*kernel-abi-id is abi-2'],
          ['os-unreadable', '.*os-version=\\{12,13\\} has no valid pattern'],
        ])
          t.match(reported(outcome, 'decision'), new RegExp(`warning: ${name} \\(.*\\): ${odd}`))
      },
    },
    {
      name: 'safety: what the root hides of an image helps no local user',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('privileged', [
          privileged('hidden', { class: 'overlay' }, '/usr/share/base/kept'),
          privileged('merged', {}, '/usr/bin/shows-user'),
        ]),
        files: { 'usr/share/base/kept.device': 'root\n', 'etc/hostext.conf': '[Root]\nEtc=volatile\n' },
        script: `${BASE_REPORT}
user() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
layer=$(echo /run/hostext/*/usr/share/base/kept)
report layer stat -c %a "$layer"
report kept cat /usr/share/base/kept
report hidden user "$layer"
report device user cat "$layer.device"
report merged user /usr/bin/shows-user
report merged-device user cat /usr/bin/shows-user.device
report merged-layer user /run/hostext/*/usr/bin/shows-user
report options findmnt -rno TARGET,OPTIONS -t overlay
report upper user ls /run/hostext/etc/upper
report written user sh -c 'find /run/hostext* -writable "(" -type f -o -type d ")"'
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'kept'), 'root')
        t.equal(reported(outcome, 'layer'), '4755', 'it is there, set-uid')
        t.equal(reported(outcome, 'hidden'), '1000', 'and runs as who starts it')
        t.match(reported(outcome, 'device'), /Permission denied/)
        t.equal(reported(outcome, 'merged'), '0', 'what is part of the root does what it does')
        t.equal(outcome.reports.get('merged-device.status'), '0')
        t.equal(reported(outcome, 'merged-layer'), '1000')
        for (const line of reported(outcome, 'options')
          .split('\n')
          .filter((line) => /^\/run\//.test(line)))
          t.match(line, /^\/run\/hostext\/\d+ ro,nosuid,nodev,/)
        t.match(reported(outcome, 'upper'), /Permission denied/)
        t.equal(
          reported(outcome, 'written')
            .replaceAll(/^find: .*: Permission denied$/gm, '')
            .trim(),
          '',
          'nothing of ours can be written to',
        )
      },
    },
    {
      name: 'safety: a store of layers that others can enter is refused until it is shut',
      boot: 'container',
      machine: {
        dataRoot: standardDataRoot(),
        // As engines 20.10.0 to 20.10.8 created it.
        prepare(root) {
          chmodSync(join(root, 'var/lib/docker'), 0o711)
          chmodSync(join(root, 'var/lib/docker/overlay2'), 0o701)
        },
        boots: [{}, {}],
        script: `${BASE_REPORT}
report enter setpriv --reuid=1000 --regid=1000 --clear-groups ls -d /var/lib/docker/overlay2/l
[ "$boot" != 1 ] || sh -c "$(sed -n 's/.*"\\(chmod .*\\)".*/\\1/p' /run/hostext.decision)"
`,
      },
      check(t, outcome) {
        const first = bootOf(outcome, 1)
        isPlain(t, first, /plain root/)
        t.match(
          reported(first, 'decision'),
          /overlay2: users other than root can enter it, .*"chmod go-x \/var\/lib\/docker\/overlay2"/,
        )
        t.equal(reported(first, 'enter'), '/var/lib/docker/overlay2/l')
        isStacked(t, bootOf(outcome, 2))
        t.match(reported(outcome, 'enter'), /Permission denied/)
      },
    },
    {
      // None of them may keep the others from being stacked. Outside a trial this would happen in every
      // boot.
      name: 'safety: a link or a file of an image where the root has a directory is not taken',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('misplaced', [
          ...MISPLACED.map(([source]) => source),
          image('well-made', {}, { '/usr/share/base/replaced': 'from well-made\n' }),
        ]),
        fstab: 'tmpfs /opt/mounted tmpfs rw 0 0\ntmpfs /media/mounted tmpfs rw 0 0\n',
        prepare(root) {
          for (const path of ['opt/mounted', 'media/mounted'])
            mkdirSync(join(root, path), { recursive: true })
        },
        script: `${BASE_REPORT}
report here ls /usr/share/safety
report replaced cat /usr/share/base/replaced
report directories sh -c 'for path in ${MISPLACED.map(([, path]) => path).join(' ')}; do [ -d $path ] && [ ! -h $path ] && echo $path; done'
report mounts sh -c 'for path in /opt/mounted /media/mounted; do findmnt -no TARGET,FSTYPE $path; done'
report status hostext status
report write sh -c 'for path in /home /var /root /srv /tmp; do echo x >$path/x && cat $path/x; done'
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        for (const [{ name }, path] of MISPLACED)
          t.match(
            reported(outcome, 'decision'),
            new RegExp(`${name} \\(.*\\): 1 of its files is not taken as in its image`),
            path,
          )
        const said = reported(outcome, 'status')
        for (const [, path] of MISPLACED.filter(([, path]) => !API.includes(path)))
          t.match(said, `not taken: ${path}: the root has a directory there`)
        for (const path of API) t.match(said, `dropped: ${path}: nothing of an image is visible there`)
        t.same(
          reported(outcome, 'here').split('\n').sort(),
          [...MISPLACED.map(([{ name }]) => name), 'well-made'].sort(),
          'what they add is there',
        )
        t.equal(reported(outcome, 'replaced'), 'from well-made', 'another stands above the root as ever')
        t.same(
          reported(outcome, 'directories').split('\n'),
          MISPLACED.map(([, path]) => path),
        )
        t.match(
          reported(outcome, 'mounts'),
          /^\/opt\/mounted +tmpfs\n\/media\/mounted +tmpfs$/,
          'what fstab mounts is',
        )
        t.equal(reported(outcome, 'write'), 'x\nx\nx\nx\nx')
      },
    },
    {
      name: 'safety: images that replace what the machine needs go below the root',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('replacing', [
          ...REPLACING.map(([source]) => source),
          ...harmless,
          // It has a file of the root that no boot needs, and replaces it, because it is above the root.
          ...names.map((name) => image(fixed(name), {}, { '/usr/share/base/replaced': `${name}\n` })),
        ]),
        boots: [{}, {}],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        prepare: (root) => setAside(root, names, names.map(fixed)),
        script: `${BASE_REPORT}${MARKED}${update('/var/lib/docker')}
report here ls /usr/share/safety
report deletes cat /safety/deletes-usr
report fstab cat /etc/fstab
report firmware cat /usr/lib/firmware/safety/x
report usr ls -d /usr/bin/mount /usr/file
report replaced cat /usr/share/base/replaced
marked
report log cat /run/hostext.decision
[ "$boot" != 1 ] || { ${names.map((name) => `update ${name} ${fixed(name)}; `).join('')}}
`,
      },
      check(t, outcome) {
        const bad = bootOf(outcome, 1)
        isStacked(t, bad)
        for (const [{ name }, file] of REPLACING)
          t.match(
            reported(bad, 'decision'),
            new RegExp(
              `warning: ${name} \\(.*\\): it would replace ${file}, which the machine needs to boot: it goes below`,
            ),
          )
        t.equal(reported(bad, 'firmware'), 'x', 'files behind a link of the root are where it leads')
        const adding = [...names, ...HARMLESS.map(({ name }) => name)]
        t.same(reported(bad, 'here').split('\n').sort(), adding.sort(), 'what they add is there')
        t.equal(reported(bad, 'deletes'), 'x')
        t.notMatch(reported(bad, 'fstab'), /nonsense/)
        t.match(reported(bad, 'usr'), '/usr/bin/mount')
        t.equal(reported(bad, 'replaced'), 'root')
        t.match(reported(bad, 'log'), /marked good/)

        isStacked(t, bootOf(outcome, 2))
        t.notMatch(reported(outcome, 'decision'), /would replace|left out/)
        t.match(reported(outcome, 'log'), /on trial: boot 1 of 2[\s\S]*marked good/, 'what is fixed is tried')
        t.same(
          reported(outcome, 'here').split('\n').sort(),
          [...names.map(fixed), ...HARMLESS.map(({ name }) => name)].sort(),
        )
        t.ok(names.includes(reported(outcome, 'replaced')), 'above the root')
      },
    },
  ]
}
