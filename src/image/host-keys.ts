/** What makes something that each machine has of its own, where an image brought it for all of them. */
export type KeyUnit = { name: string; text: string; before: string[] }

/** The files that one program makes, and who needs them. */
type Maker = {
  name: string
  what: string
  before: string[]
  /** Whether a file is one of them. */
  isIts: (path: string) => boolean
  /** The files whose absence makes it run; by default those that the image brought. */
  conditions?: string[]
  /** What it waits for; by default all that services wait for. */
  after?: string[]
  /** The commands that make these files. */
  commands: (paths: string[]) => string[]
}

const INITIATOR = '/etc/iscsi/initiatorname.iscsi'

/**
 * What does not run without its file: sshd(8), dropbear(8) without -R, iscsid(8). Not nvme(1), which makes a
 * name of the machine's DMI or machine ID.
 */
const MAKERS: Maker[] = [
  {
    name: 'hostext-ssh-keys.service',
    what: 'Make the SSH host keys of this machine',
    before: ['ssh.service', 'sshd.service', 'ssh.socket', 'sshd.socket'],
    isIts: (path) => path.startsWith('/etc/ssh/'),
    conditions: ['/etc/ssh/ssh_host_ed25519_key', '/etc/ssh/ssh_host_rsa_key'],
    commands: () => ['ssh-keygen -A'],
  },
  {
    name: 'hostext-dropbear-keys.service',
    what: 'Make the host keys of Dropbear on this machine',
    before: ['dropbear.service', 'dropbear.socket'],
    isIts: (path) => /^\/etc\/dropbear\/.*_host_key$/.test(path),
    commands: (paths) =>
      paths.map((path) => {
        const type = /_([a-z0-9]+)_host_key$/.exec(path)?.[1]
        return `sh -c "[ -e ${path} ] || dropbearkey -t ${type} -f ${path}"`
      }),
  },
  {
    name: 'hostext-iscsi-name.service',
    what: 'Make the name of the iSCSI initiator on this machine',
    before: ['iscsid.service', 'iscsid.socket', 'iscsi.service', 'open-iscsi.service'],
    isIts: (path) => path === INITIATOR,
    // Network mounts come after iscsid, and /var may be one: sysinit.target would be too late.
    after: ['After=systemd-remount-fs.service', 'RequiresMountsFor=/etc/iscsi'],
    commands: () => [
      // A name that could not be made would leave a file without one.
      `sh -c "umask 077; name=$$(iscsi-iname) && echo InitiatorName=$$name >${INITIATOR}"`,
    ],
  },
]

/** Whether a unit is one that {@link makeKeyUnits} makes. */
export function isKeyUnit(name: string): boolean {
  return MAKERS.some((maker) => maker.name === name)
}

/** The units that make what an image brought and what was dropped: these paths. */
export function makeKeyUnits(dropped: readonly string[]): KeyUnit[] {
  return MAKERS.flatMap(({ name, what, before, isIts, conditions, after, commands }) => {
    const paths = dropped.filter(isIts).sort()
    if (paths.length === 0) return []
    const lines = [
      '# Made by hostext: what an image brought is not for the machines that use it.',
      ...['[Unit]', `Description=${what}`],
      ...(conditions ?? paths).map((path) => `ConditionPathExists=|!${path}`),
      // By default, it would be after all sockets, and so after those that it is before.
      'DefaultDependencies=no',
      ...(after ?? ['Requires=sysinit.target', 'After=sysinit.target']),
      `Before=shutdown.target ${before.join(' ')}`,
      'Conflicts=shutdown.target',
      ...['', '[Service]', 'Type=oneshot', 'RemainAfterExit=yes'],
      ...commands(paths).map((command) => `ExecStart=${command}`),
    ]
    return { name, text: `${lines.join('\n')}\n`, before }
  })
}
