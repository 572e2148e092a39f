import { octal } from '../image/base.js'
import { type Root, resolveLinks, statLink } from '../machine/files.js'
import type { Findings } from './finding.js'
import { type Node, walk } from './memory.js'

const [SETUID, SETGID, STICKY, BY_ALL, BY_GROUP] = [0o4000, 0o2000, 0o1000, 0o0002, 0o0010]

/** capability.h of Linux, in the order of the numbers. */
const CAPABILITIES = [
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock'],
  ...['ipc_owner', 'sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin'],
  ...['sys_boot', 'sys_nice', 'sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write'],
  ...['audit_control', 'setfcap', 'mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend'],
  ...['audit_read', 'perfmon', 'bpf', 'checkpoint_restore'],
]

/** A program that gives whoever runs it more than they have. */
export type Privileged = { path: string; mode: string; owner: string; capabilities: string[] }

/**
 * Finds what runs with more than its user has, what everybody may write to, and device nodes. What the root
 * has as well, with the same bits, is nothing new.
 */
export function checkPrivileges(tree: Node, root: Root, findings: Findings): Privileged[] {
  const found: Privileged[] = []
  walk(tree, (path, node) => {
    const special = node.mode & (SETUID | SETGID)
    if (node.isFile()) {
      const { capability, capabilities: named } = node.more ?? {}
      const capabilities = named ?? (capability === undefined ? [] : readCapabilities(capability))
      const isCapable = named !== undefined || capability !== undefined
      // A group's bit without execution is for locking, and means nothing here: chmod(1).
      const runs = (node.mode & SETUID) !== 0 || (special !== 0 && (node.mode & BY_GROUP) !== 0)
      if (runs || isCapable) {
        const owner = `${node.uid}:${node.gid}`
        found.push({ path, mode: octal(node), owner, capabilities })
        const own = statLink(root, resolveLinks(root, path))
        const isOld = own?.isFile() === true && (own.mode & special) === special && !isCapable
        const who = node.mode & SETUID ? `user ${node.uid}` : `group ${node.gid}`
        if (runs)
          findings.add(
            isOld ? 'notice' : 'warning',
            'privileges',
            node.mode & SETUID ? 'setuid' : 'setgid',
            path,
            `whoever runs it does so as ${who} (${octal(node)})${isOld ? "; so is the root's own" : ''}`,
          )
        if (isCapable)
          findings.add(
            'warning',
            'privileges',
            'capabilities',
            path,
            `whoever runs it has ${capabilities.join(', ') || 'no capability that is known'}`,
          )
      }
    }
    if (node.isFile() && node.mode & BY_ALL)
      findings.add('warning', 'privileges', 'writable', path, `everybody may change it (${octal(node)})`)
    if (node.children && node.mode & BY_ALL && !(node.mode & STICKY))
      findings.add(
        'warning',
        'privileges',
        'writable',
        path,
        `everybody may replace what is in it (${octal(node)})`,
      )
  })
  return found
}

/** The names in the value of security.capability: struct vfs_cap_data of capability.h. */
export function readCapabilities(value: string): string[] {
  const bytes = Buffer.from(value, 'latin1')
  // Permitted, then inheritable: once up to revision 1, and since then also for the upper 32 bits.
  const words = [4, 8, 12, 16].map((at) => (bytes.length >= at + 4 ? bytes.readUInt32LE(at) : 0))
  const [permitted = 0, inheritable = 0, upper = 0, upperInheritable = 0] = words
  const has = (index: number): boolean =>
    (((index < 32 ? permitted | inheritable : upper | upperInheritable) >>> (index % 32)) & 1) === 1
  const known = CAPABILITIES.filter((_, index) => has(index)).map((name) => `cap_${name}`)
  const more = Array.from({ length: 64 - CAPABILITIES.length }, (_, index) => index + CAPABILITIES.length)
  return [...known, ...more.filter(has).map((index) => `capability ${index}`)]
}
