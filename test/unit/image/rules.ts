import { dirname } from 'node:path'
import t from 'tap'
import { findDropped, hasDropped, isHostKey, stateOf } from '../../../src/image/rules.js'

t.test('API directories, and all below them', async (t) => {
  for (const path of ['/dev', '/dev/null', '/proc/x', '/run', '/run/x/y', '/sys', '/tmp/.X11-unix'])
    t.equal(findDropped(path), 'api', path)
  for (const path of ['/device', '/runtime', '/usr/tmp', '/var/run', '/temp', '/var/tmp'])
    t.equal(findDropped(path), undefined, path)
})

t.test('who the machine is', async (t) => {
  for (const name of [
    ...[
      'machine-id',
      'machine-info',
      'hostname',
      'hostid',
      'hosts',
      'resolv.conf',
      'fstab',
      'crypttab',
      'mtab',
    ],
    ...[
      'passwd',
      'passwd-',
      'shadow',
      'shadow-',
      'group',
      'group-',
      'gshadow',
      'gshadow-',
      'subuid',
      'subgid-',
    ],
    ...['.pwd.lock', 'security/opasswd'],
    ...['ssh/ssh_host_rsa_key', 'ssh/ssh_host_ed25519_key.pub', 'ssh/ssh_host_ecdsa_key-cert.pub'],
    ...['dropbear/dropbear_ed25519_host_key', 'dropbear/dropbear_rsa_host_key.pub'],
    ...['iscsi/initiatorname.iscsi', 'nvme/hostnqn', 'nvme/hostid'],
  ])
    t.equal(findDropped(`/etc/${name}`), 'identity', name)
  t.equal(findDropped('/var/lib/dbus/machine-id'), 'identity')
  for (const path of [
    ...[
      '/etc/passwd.d',
      '/etc/passwd/x',
      '/etc/hosts.allow',
      '/etc/ssh/sshd_config',
      '/etc/ssh/ssh_host_keys',
    ],
    ...['/usr/etc/passwd', '/machine-id', '/etc/mtab.d/x', '/etc/ssh/ssh_host_rsa_key.bak'],
    ...['/etc/dropbear/banner', '/etc/iscsi/iscsid.conf', '/etc/nvme/discovery.conf'],
  ])
    t.equal(findDropped(path), undefined, path)
  for (const path of ['ssh/ssh_host_rsa_key', 'dropbear/dropbear_rsa_host_key', 'nvme/hostid']) {
    t.ok(isHostKey(`/etc/${path}`))
    t.ok(hasDropped(dirname(`/etc/${path}`)))
  }
  t.notOk(isHostKey('/etc/machine-id'))
})

t.test('what PID 1 takes the machine by', async (t) => {
  for (const path of [
    ...['/.dockerenv', '/.containerenv', '/etc/initrd-release', '/usr/lib/initrd-release', '/system-update'],
    ...[
      '/etc/system-update',
      '/.autorelabel',
      '/forcefsck',
      '/etc/nologin',
      '/etc/.updated',
      '/var/.updated',
    ],
  ])
    t.equal(findDropped(path), 'sign', path)
  for (const path of ['/x/.dockerenv', '/etc/os-release', '/system-update.d', '/var/lib/.updated'])
    t.equal(findDropped(path), undefined, path)
})

t.test('what is for building images', async (t) => {
  for (const path of ['/usr/sbin/policy-rc.d', '/usr/bin/policy-rc.d']) {
    t.equal(findDropped(path), 'build', path)
    t.ok(hasDropped(dirname(path)))
  }
  t.equal(findDropped('/etc/policy-rc.d'), undefined)
})

t.test('state: databases of packages are none, of caches and logs the directories', async (t) => {
  for (const path of [
    ...['/var/lib/dpkg', '/var/lib/dpkg/status', '/var/lib/apt/lists/x', '/var/lib/rpm/x', '/var/lib/apk'],
    ...['/var/cache/apt/x', '/var/cache/debconf', '/var/log/apt/history.log', '/var/log/journal/x'],
    ...['/var/backups/x', '/var/tmp/x', '/var/lib/systemd/x', '/var/lib/hostext/etc', '/var/lib/ucf/x'],
  ])
    t.equal(stateOf(path), 'nothing', path)
  for (const path of ['/var/cache', '/var/cache/man/x', '/var/log', '/var/log/nginx/access.log'])
    t.equal(stateOf(path), 'directories', path)
  for (const path of [
    '/var/lib/dpkg-exporter',
    '/var/lib/postgresql',
    '/var/logs',
    '/var/www/x',
    '/srv/ftp',
    '/var/lib/systemd/linger/app',
  ])
    t.equal(stateOf(path), 'all', path)
})
