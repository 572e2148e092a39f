/** A package that is tried, and how to see that it works. */
export type Tried = {
  name: string
  /** Other packages that are installed for it: what it needs to work, a client that asks it. */
  with?: readonly string[]
  /**
   * A real request, for bash, and what its output has to match. `ask PORT TEXT` sends a text (as in printf)
   * to a TCP port of the machine and prints what comes back, `askudp` the same for UDP.
   */
  request?: Request
}
type Request = { command: string; answer: string }

/** Packages that can run on one machine at the same time: no port twice. */
export type PackageSet = { name: string; packages: readonly Tried[] }

const ask = (port: number, text: string, answer: string): Request => ({
  command: `ask ${port} '${text}'`,
  answer,
})
const http = (port: number, answer = 'HTTP/1.[01] [2345]', path = '/'): Request =>
  ask(port, `GET ${path} HTTP/1.0\\r\\n\\r\\n`, answer)
/** A server that speaks first. */
const greets = (port: number, answer: string): Request => ask(port, '', answer)
/** A DNS query over TCP for version.bind, CHAOS, TXT, which a server answers from its own knowledge. */
const dns = (port: number): Request => ({
  command: `ask ${port} '\\0\\036\\022\\064\\001\\0\\0\\001\\0\\0\\0\\0\\0\\0\\007version\\004bind\\0\\0\\020\\0\\003' | od -An -tu1 -w999`,
  // The ID, the flags, one question, one answer.
  answer: '18 +52 +[0-9]+ +[0-9]+ +0 +1 +0 +1 ',
})
const prints = (command: string, answer: string): Request => ({ command, answer })

/** CI runs only this set: web, database, messages, time, devices. */
export const TWELVE: PackageSet = {
  name: 'twelve',
  packages: [
    { name: 'nginx', request: http(80, 'Welcome to nginx') },
    { name: 'redis-server', request: ask(6379, 'PING\\r\\n', 'PONG') },
    { name: 'openssh-server', request: greets(22, 'SSH-2.0-OpenSSH') },
    {
      name: 'postgresql',
      request: prints("runuser -u postgres -- psql -Atc 'SELECT 1 + 1'", '^2$'),
    },
    {
      name: 'mosquitto',
      with: ['mosquitto-clients'],
      request: prints(
        'mosquitto_pub -r -t hostext -m hello && timeout 5 mosquitto_sub -C 1 -t hostext',
        'hello',
      ),
    },
    {
      name: 'avahi-daemon',
      with: ['avahi-utils'],
      request: prints('timeout 5 avahi-daemon --check; echo $?', '^0$'),
    },
    { name: 'prometheus-node-exporter', request: http(9100, 'go_gc', '/metrics') },
    { name: 'cron' },
    { name: 'chrony' },
    { name: 'gpsd', request: ask(2947, '?VERSION;\\n', 'VERSION') },
    { name: 'hostapd' },
    { name: 'wireguard-tools' },
  ],
}

export const SETS: readonly PackageSet[] = [
  TWELVE,
  {
    name: 'servers',
    packages: [
      { name: 'apache2', request: http(80, 'Apache2 Debian') },
      { name: 'mariadb-server', request: prints("mariadb -Ne 'SELECT 1 + 1'", '^2$') },
      { name: 'memcached', request: ask(11211, 'version\\r\\n', 'VERSION') },
      { name: 'bind9', request: dns(53) },
      { name: 'vsftpd', request: greets(21, '^220') },
      { name: 'dovecot-imapd', request: greets(143, 'OK .*Dovecot') },
      { name: 'postfix', request: greets(25, '^220 .*ESMTP') },
      {
        name: 'snmpd',
        with: ['snmp'],
        request: prints('snmpget -v2c -c public 127.0.0.1 .1.3.6.1.2.1.1.5.0', 'STRING'),
      },
      { name: 'samba', with: ['smbclient'], request: prints('smbclient -N -L 127.0.0.1', 'IPC') },
      { name: 'tftpd-hpa' },
      { name: 'rpcbind', request: prints('rpcinfo -p 127.0.0.1', 'portmapper') },
      { name: 'squid', request: http(3128) },
      { name: 'fail2ban' },
      {
        name: 'rsyslog',
        request: prints(
          'logger hostext-was-here; sleep 1; grep -c hostext-was-here /var/log/syslog',
          '^[1-9]',
        ),
      },
      { name: 'php-fpm', request: prints('ls -l /run/php/php*-fpm.sock', 'www-data') },
      { name: 'varnish', request: http(6081) },
      { name: 'smartmontools' },
      { name: 'monit' },
      { name: 'pgbouncer', request: prints('ls -l /var/run/postgresql/.s.PGSQL.6432', '^s') },
      { name: 'stunnel4' },
      { name: 'nagios-nrpe-server' },
    ],
  },
  {
    name: 'network',
    packages: [
      { name: 'lighttpd', request: http(80) },
      { name: 'dnsmasq', request: dns(53) },
      { name: 'dropbear', request: greets(22, 'SSH-2.0-dropbear') },
      { name: 'haproxy', request: prints('ls -l /run/haproxy/admin.sock', '^s') },
      { name: 'keepalived' },
      { name: 'openvpn' },
      {
        name: 'strongswan-starter',
        with: ['strongswan-charon'],
        request: prints('ipsec status', 'Security Associations'),
      },
      { name: 'tor', request: ask(9050, 'GET / HTTP/1.0\\r\\n\\r\\n', 'HTTP|SOCKS') },
      { name: 'privoxy', request: http(8118) },
      { name: 'tinyproxy', request: http(8888) },
      { name: 'lldpd', request: prints('lldpcli show chassis', 'Chassis') },
      { name: 'bird2', request: prints('birdc show status', 'BIRD') },
      { name: 'kea-dhcp4-server' },
      { name: 'nftables', request: prints('nft list ruleset; echo $?', '^0$') },
      { name: 'iwd' },
      { name: 'wpasupplicant' },
      { name: 'network-manager', request: prints('nmcli general status', 'connected') },
      { name: 'modemmanager' },
      { name: 'ifupdown' },
      { name: 'prometheus', request: http(9090) },
      { name: 'beanstalkd', request: ask(11300, 'stats\\r\\n', '^OK') },
      { name: 'ngircd', request: ask(6667, 'NICK x\\r\\nUSER x x x x\\r\\n', 'Welcome|NOTICE|001') },
      { name: 'iperf3' },
      { name: 'vnstat' },
    ],
  },
  {
    name: 'devices',
    packages: [
      { name: 'bluez' },
      { name: 'udisks2', request: prints('udisksctl status', 'MODEL') },
      { name: 'upower', request: prints('upower --dump', 'daemon-version') },
      { name: 'polkitd', request: prints('pkaction', 'org.freedesktop') },
      { name: 'cups-daemon', with: ['cups-client'], request: http(631) },
      { name: 'usbmuxd' },
      { name: 'pcscd', request: prints('ls -l /run/pcscd/pcscd.comm', '^s') },
      { name: 'acpid' },
      { name: 'irqbalance' },
      { name: 'lvm2' },
      { name: 'mdadm' },
      { name: 'multipath-tools' },
      { name: 'open-iscsi' },
      { name: 'nbd-server' },
      { name: 'lirc' },
      { name: 'rtl-sdr' },
      { name: 'i2c-tools' },
      { name: 'libmtp-runtime' },
      { name: 'usb-modeswitch' },
      { name: 'triggerhappy' },
      { name: 'lm-sensors' },
      { name: 'fuse3' },
      { name: 'tpm2-abrmd' },
      {
        name: 'at',
        request: prints('echo "echo done >/var/tmp/at-ran" | at now; sleep 2; cat /var/tmp/at-ran', '^done$'),
      },
      { name: 'anacron' },
      { name: 'logrotate' },
      { name: 'sysstat' },
      { name: 'haveged' },
      { name: 'earlyoom' },
      { name: 'zram-tools' },
      { name: 'watchdog' },
      { name: 'uptimed', request: prints('uprecords', 'Uptime') },
      { name: 'ser2net' },
      { name: 'libsane-common' },
      { name: 'caddy', request: http(80, 'Caddy') },
    ],
  },
]
