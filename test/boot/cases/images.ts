import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { cached } from '../cache.js'
import { BASE_REPORT, bootOf, type Case, isStacked, said } from '../checks.js'
import { dataRoot, type ExtensionSource, withEngine } from '../engine.js'
import { FEATURE } from '../extensions.js'
import { reported } from '../machine.js'
import { mmdebstrap } from '../mmdebstrap.js'
import type { Release } from '../rootfs.js'

const BUSYBOX = '/usr/lib/images/busybox'

/** An image with these files, on which a shell then does what no Dockerfile can say in both builders. */
function image(name: string, files: Record<string, string>, commands = ''): ExtensionSource {
  const run =
    commands === ''
      ? ''
      : `COPY busybox ${BUSYBOX}\nRUN ["${BUSYBOX}", "sh", "-c", "b=${BUSYBOX}; ${commands}; $b rm $b"]\n`
  return {
    name,
    dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n${run}`,
    files: Object.fromEntries(
      Object.entries({ [`/usr/share/images/${name}`]: `${name}\n`, ...files }).map(([path, text]) => [
        `tree${path}`,
        text,
      ]),
    ),
  }
}

/** The ID that two users of images have, and a group of the base root. */
const TAKEN = 61234
/** The ID of a user of the base root: what is made for it in an image is not for whoever has it here. */
const PERSON = 1000

const SERVICE = (user: string): string => `[Unit]
After=systemd-tmpfiles-setup.service
[Service]
Type=oneshot
RemainAfterExit=yes
User=${user}
ExecStart=/bin/sh -c 'cat /etc/${user}/secret && echo started >>/var/lib/${user}/log'
`

/** A service of its own user, with a secret and a state that only the user can read. */
const service = (user: string, version = 1): ExtensionSource =>
  image(
    version === 1 ? user : `${user}-${version}`,
    {
      '/etc/passwd': `root:x:0:0:root:/root:/bin/sh\n${user}:x:${TAKEN}:${TAKEN}:A service:/var/lib/${user}:/bin/false\n`,
      '/etc/group': `root:x:0:\n${user}:x:${TAKEN}:\n`,
      [`/etc/${user}/secret`]: `secret of ${user}\n`,
      [`/var/lib/${user}/log`]: 'as in the image\n',
      [`/var/lib/${user}/kept`]: `version ${version}\n`,
      '/var/lib/dpkg/status': 'Package: nothing\n',
      '/var/log/images/old.log': 'a log\n',
      [`/usr/lib/systemd/system/${user}.service`]: SERVICE(user),
      [`/usr/lib/systemd/system/multi-user.target.wants/${user}.service`]: `->../${user}.service`,
    },
    `$b chown -R ${TAKEN}:${TAKEN} /etc/${user} /var/lib/${user}; $b chmod 700 /etc/${user} /var/lib/${user}; $b chmod 600 /etc/${user}/secret`,
  )

/** The first example of the README: its Dockerfile. */
function readExample(): string {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8')
  const [, dockerfile] = /^```Dockerfile\n(.*?)^```$/ms.exec(readme) ?? []
  if (!dockerfile) throw new Error('the README has no Dockerfile of a package')
  return dockerfile
}

const VERSIONS: Record<Release, string> = { bookworm: '12', trixie: '13', forky: 'forky' }

/**
 * The data root after the commands of that example, with the image of the release that the machine has. There
 * is no registry here, so that image is made of the release's packages.
 */
function exampleDataRoot(release: Release): string {
  const example = readExample().replace('debian:12', `debian:${VERSIONS[release]}`)
  const directory = cached(`engine-example-${release}`, example, (made) => {
    const base = join(made, 'base.tar')
    mmdebstrap(['--variant=minbase', release, base])
    const context = join(made, 'context')
    mkdirSync(context)
    writeFileSync(join(context, 'Dockerfile'), example)
    withEngine(join(made, 'docker'), ({ docker, build }) => {
      docker('import', base, `debian:${VERSIONS[release]}`)
      build('buildkit', 'mosquitto', context, 'host')
      docker('create', '--name', 'mosquitto', 'mosquitto', '/none')
    })
    rmSync(base)
  })
  return join(directory, 'docker')
}

/**
 * What is made for other systems: a library of a vendor, in a directory that comes before the root's; one
 * that lies newer beside the root's; one in /usr/local/lib whose link is dropped. All of them are empty.
 */
function librariesInTheWay(): ExtensionSource[] {
  const directory = cached('libraries-in-the-way', 'libmount libblkid libpcre2', (made) => {
    for (const [path, name] of [
      ['opt/vendor/lib/libmount.so.1', 'libmount.so.1'],
      ['usr/lib/x86_64-linux-gnu/libpcre2-8.so.0.99.0', 'libpcre2-8.so.0'],
      ['usr/local/lib/libblkid.so.1.9.0', 'libblkid.so.1'],
    ] as const) {
      const file = join(made, 'tree', path)
      mkdirSync(dirname(file), { recursive: true })
      execFileSync('gcc', ['-shared', '-fPIC', `-Wl,-soname,${name}`, '-o', file, '-x', 'c', '/dev/null'])
    }
    symlinkSync('libblkid.so.1.9.0', join(made, 'tree/usr/local/lib/libblkid.so.1'))
  })
  const vendor: ExtensionSource = {
    ...image('vendor', { '/etc/ld.so.conf.d/vendor.conf': '/opt/vendor/lib\n' }),
    tree: join(directory, 'tree'),
  }
  return [vendor, image('other', {})]
}

/** What becomes of images: architecture of kept trees, "the rules of images". */
export function cases(): Case[] {
  return [
    {
      name: 'images: any package: the first example of the README',
      boot: 'container',
      machine: {
        // The same service on another release may run at the same time.
        ownNetwork: true,
        dataRoot: exampleDataRoot,
        boots: [{}, {}],
        script: `${BASE_REPORT}
report service systemctl is-active mosquitto.service
report answers timeout 10 bash -c 'until exec 3<>/dev/tcp/127.0.0.1/1883; do sleep 0.2; done'
report owner stat -c %U /var/lib/mosquitto
report shown systemctl status --no-pager --lines=0 mosquitto.service
# The rebuilt indexes are kept in the background.
report kept sh -c 'for try in $(seq 300); do [ -e /var/lib/docker/hostext/indexes/1/key ] && break; sleep 0.2; done; ls /var/lib/docker/hostext/indexes/1'
report index sh -c 'cd /run/hostext/first/normal && ls | grep index'
report cache sh -c 'ldconfig -p | grep -c libmosquitto'
`,
      },
      check(t, outcome) {
        for (const number of [1, 2]) {
          const boot = bootOf(outcome, number)
          isStacked(t, boot)
          t.equal(reported(boot, 'service'), 'active')
          t.equal(boot.reports.get('answers.status'), '0', reported(boot, 'answers'))
          t.equal(reported(boot, 'owner'), 'mosquitto')
          t.match(reported(boot, 'kept'), /^(etc\n)?key\nroot$/)
          t.not(reported(boot, 'cache'), '0', 'the index has the libraries of the image')
          // The first boot builds them, the second one mounts what it has built.
          t.equal(reported(boot, 'index'), number === 1 ? 'hostext-index.service' : 'run-hostext-index.mount')
        }
        t.comment(reported(outcome, 'shown'))
      },
    },
    {
      name: 'images: files are where they belong, and the machine stays who it is',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('rules', [
          image(
            'links',
            {
              '/etc/cron.d/job': '# cron runs it only if it has no other name.\n',
              '/lib/systemd/system/linked.service': '[Service]\nExecStart=/bin/true\n',
              '/opt/tool/file': 'in /opt\n',
            },
            // A build with umask 077; a system directory of somebody else.
            `$b mkdir -p /etc/systemd/system; $b chmod 700 /usr /usr/share; $b chown ${PERSON} /etc/systemd /etc/systemd/system`,
          ),
          image('identity', {
            '/etc/machine-id': 'ffffffffffffffffffffffffffffffff\n',
            '/etc/hostname': 'an-image\n',
            '/etc/passwd': 'root::0:0::/:/bin/sh\n',
            '/etc/shadow': 'root::1::::::\n',
            '/etc/ssh/ssh_host_ed25519_key': 'of all machines\n',
          }),
          image('signs', {
            '/.dockerenv': '',
            '/etc/initrd-release': 'ID=image\n',
            '/system-update': '->/var',
            '/run/images/file': 'x\n',
            '/dev/images': 'x\n',
            '/tmp/images': 'x\n',
          }),
          image('foreign', { '/usr/lib/os-release': 'ID=elsewhere\nVERSION_ID=7\n' }),
          service('first'),
          service('second'),
        ]),
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        prepare(root) {
          writeFileSync(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n')
          mkdirSync(join(root, 'var/opt'), { recursive: true })
          cpSync(join(root, 'opt'), join(root, 'var/opt'), { recursive: true })
          renameSync(join(root, 'opt'), join(root, 'var/opt-was'))
          symlinkSync('var/opt', join(root, 'opt'))
          appendFileSync(join(root, 'etc/group'), `somebody:x:${TAKEN}:\n`)
          appendFileSync(join(root, 'etc/passwd'), `person:x:${PERSON}:${PERSON}::/home/person:/bin/sh\n`)
        },
        boots: [{}, {}],
        script: `${BASE_REPORT}
report linked systemctl cat linked.service
report tool cat /opt/tool/file /var/opt/tool/file
report names stat -c %h /etc/cron.d/job
report usr stat -c '%a %U' /usr /usr/share /etc/systemd/system
report somebody setpriv --reuid=${PERSON} --regid=${PERSON} --clear-groups ls /usr/share/images
report id cat /etc/machine-id
report hostname cat /etc/hostname
report passwd grep -c '^root:' /etc/passwd
report key ls /etc/ssh/ssh_host_ed25519_key
report signs ls /.dockerenv /etc/initrd-release /system-update /run/images /dev/images /tmp/images
report virt systemd-detect-virt
for user in first second; do
	report $user-ids sh -c "id -u $user; id -g $user; id -gn $user"
	report $user-state systemctl is-active $user.service
	report $user-secret stat -c '%a %U %G' /etc/$user/secret /var/lib/$user /var/lib/$user/kept
	report $user-log cat /var/lib/$user/log
	report $user-kept cat /var/lib/$user/kept
done
report group getent group ${TAKEN}
report logs ls -A /var/log/images
report status hostext status
[ "$boot" != 1 ] || { rm /var/lib/first/kept; echo changed >/var/lib/second/kept; }
`,
      },
      check(t, outcome) {
        for (const number of [1, 2]) {
          const boot = bootOf(outcome, number)
          isStacked(t, boot)
          t.match(reported(boot, 'linked'), 'ExecStart=/bin/true', 'a unit in /lib, which is a link here')
          t.equal(reported(boot, 'tool'), 'in /opt\nin /opt', 'a directory behind a link into the state')
          t.equal(reported(boot, 'names'), '1')
          t.equal(reported(boot, 'usr'), '755 root\n755 root\n755 root', "owner and mode are the root's")
          t.match(reported(boot, 'somebody'), 'links')
          t.equal(reported(boot, 'id'), '0123456789abcdef0123456789abcdef')
          t.notMatch(reported(boot, 'hostname'), /an-image/)
          t.equal(reported(boot, 'passwd'), '1')
          t.not(boot.reports.get('key.status'), '0', "the image's host key is not the machine's")
          t.equal(reported(boot, 'signs').match(/No such file/g)?.length, 6, reported(boot, 'signs'))
          t.equal(reported(boot, 'virt'), 'systemd-nspawn')
          for (const user of ['first', 'second']) {
            const [uid, gid, group] = reported(boot, `${user}-ids`).split('\n')
            t.equal(group, user)
            t.not(gid, String(TAKEN), "the group's ID is another one's here")
            t.match(uid, /^\d+$/)
            t.equal(reported(boot, `${user}-state`), 'active', 'its service can read what is its own')
            const owned = `${user} ${user}`
            t.equal(reported(boot, `${user}-secret`), `600 ${owned}\n700 ${owned}\n644 ${owned}`)
            t.match(reported(boot, `${user}-log`), /^as in the image\nstarted/)
          }
          const ids = ['first', 'second'].map((user) => reported(boot, `${user}-ids`).split('\n')[0])
          t.not(ids[0], ids[1], 'one ID is not two users')
          t.match(reported(boot, 'group'), 'somebody')
          t.equal(reported(boot, 'logs'), '', 'directories of logs are there, and no logs')
          t.match(reported(boot, 'decision'), /foreign .*: it is a whole system \(elsewhere 7\)/)
          for (const line of [
            /dropped: \/etc\/machine-id: it belongs to the machine/,
            /dropped: \/\.dockerenv: systemd would take the machine for something else/,
            /dropped: \/run: nothing of an image is visible there/,
            /moved: \/opt to \/var\/opt, where the root's link leads/,
            /\/usr: owner and mode are the root's, not 0:0 0700/,
          ])
            t.match(reported(boot, 'status'), line)
        }
        t.same(
          ['first', 'second'].map((user) => reported(outcome, `${user}-ids`, 1)),
          ['first', 'second'].map((user) => reported(outcome, `${user}-ids`, 2)),
          'IDs stay',
        )
        t.equal(reported(outcome, 'first-kept', 2), 'version 1', 'what was deleted is there again')
        t.equal(reported(outcome, 'second-kept', 2), 'changed', 'what was changed stays')
        t.match(reported(outcome, 'first-log', 2), /^as in the image\nstarted\nstarted$/)
      },
    },
    {
      name: 'images: a link where fstab mounts something, and the root has nothing',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('in-the-way', [image('link', { '/data': '->srv' }), image('other', {})]),
        fstab: 'tmpfs /data tmpfs size=1M 0 0\n',
        script: `${BASE_REPORT}
report data findmnt -no FSTYPE /data
report other cat /usr/share/images/other
report link ls /usr/share/images/link
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'data'), 'tmpfs')
        t.equal(reported(outcome, 'other'), 'other')
        t.not(outcome.reports.get('link.status'), '0')
        t.match(
          said(outcome),
          /left out: link .*: a file system is to be mounted on \/data, and it has no directory there but something else/,
        )
      },
    },
    {
      name: 'images: what a whole system turns off for its container',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('turns-off', [
          image('system', {
            '/usr/lib/os-release': 'ID=elsewhere\nVERSION_ID=7\n',
            ...Object.fromEntries(
              [
                'systemd-remount-fs.service',
                'getty.target',
                'graphical.target',
                'systemd-logind.service',
              ].map((name) => [`/etc/systemd/system/${name}`, '->/dev/null']),
            ),
            '/etc/systemd/system/default.target': '->/usr/lib/systemd/system/graphical.target',
            '/usr/sbin/policy-rc.d': '#!/bin/sh\nexit 101\n',
          }),
          image('small', {
            '/etc/systemd/system/systemd-remount-fs.service': '->/dev/null',
            '/etc/systemd/system/getty.target': '->/dev/null',
          }),
        ]),
        script: `${BASE_REPORT}
report loaded sh -c 'systemctl show -P LoadState systemd-remount-fs.service graphical.target getty.target'
report policy ls /usr/sbin/policy-rc.d
report status hostext status
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        const loaded = reported(outcome, 'loaded').split(/\s+/)
        t.same(loaded, ['loaded', 'loaded', 'masked'], 'a small image turns off what it likes, and no more')
        t.not(outcome.reports.get('policy.status'), '0')
        const status = reported(outcome, 'status')
        t.match(status, /system: not taken: 4 masks by which it turns off for itself what the root has: /)
        t.match(status, /system: not taken: \/etc\/systemd\/system\/default\.target: /)
        t.match(status, /small: not taken: \/etc\/systemd\/system\/systemd-remount-fs\.service: /)
      },
    },
    {
      name: 'images: libraries with the names of those that the root needs, where the loader looks first',
      boot: 'container',
      machine: {
        dataRoot: () => dataRoot('libraries-in-the-way', librariesInTheWay()),
        script: `${BASE_REPORT}
report works sh -c 'mount --version && systemctl --version'
report other cat /usr/share/images/other
report status hostext status
report pcre sh -c 'readlink -f /usr/lib/*/libpcre2-8.so.0'
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(outcome.reports.get('works.status'), '0', reported(outcome, 'works'))
        t.equal(reported(outcome, 'other'), 'other')
        t.notMatch(reported(outcome, 'pcre'), /\.99\./, 'no link leads to the newer file')
        for (const name of ['/opt/vendor/lib/libmount.so.1', '/usr/local/lib/libblkid.so.1'])
          t.match(reported(outcome, 'status'), `not taken: ${name}: the root's own programs would find it`)
      },
    },
  ]
}
