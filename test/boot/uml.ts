import { basename, dirname } from 'node:path'
import type { Emulator, Start } from './disk-machine.js'
import { run } from './process.js'
import { onProcessor } from './processors.js'
import { addUmlModules, umlInitrd, umlKernel } from './uml-kernel.js'
import { flushWatcher } from './unflushed.js'

/**
 * `sh -c START sh KERNEL WORK REPORTS INITRD LIBRARY WORD…`: becomes the kernel, in its own root directory,
 * with the disks at /machine and the reports as descriptor 3. INITRD is its initrd, LIBRARY is preloaded;
 * each may be empty. To reboot, the kernel runs the program named in its argv[0] again. There is no program
 * of that name, so a machine that reboots ends. chroot(8) has no option for that.
 */
const START = `set -e
cd "$2"
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind . "$1/machine"
exec 3>>"$3"
export root="$1"
[ -z "$4" ] || mount --bind "$4" "$1/initrd"
[ -z "$5" ] || cp "$5" library.so
export preload="\${5:+/machine/library.so}"
shift 5
exec perl -e '$ENV{LD_PRELOAD} = delete $ENV{preload}; chroot $ENV{root} and chdir "/" and exec { "/usr/bin/linux.uml" } "ends-at-reboot", @ARGV; die "linux.uml: $!"' "$@"
`

/**
 * User-mode Linux: a kernel that runs as a process, with disks and no other devices, for an eighth of QEMU's
 * processor time. If it is not pinned to one processor, a boot takes four times as long. Its disks lose what
 * was not flushed if the power is cut.
 *
 * The console and the reports go to files, because it does not wait for the reader of a pipe, and loses what
 * does not fit.
 */
export const uml: Emulator = {
  device: (index) => `/dev/ubd${'abcdefgh'[index]}`,
  addModules: addUmlModules,
  stall: 60,
  run: (start, options) =>
    onProcessor((pinned) =>
      run([...pinned, ...umlCommand(start)], { ...options, output: `${start.reports}.console` }),
    ),
}

/** The command that becomes the kernel. Its console is the standard output, the reports go to a file. */
export function umlCommand({ machine, disks, boot, words, reports, isTyped }: Start): string[] {
  if (machine.devices || boot.qemu) throw new Error('user-mode Linux has no devices but disks')
  const { root } = umlKernel()
  const memory = boot.memory ?? machine.memory ?? (machine.device ? 1536 : 768)
  const inside = (file: string) => `/machine/${basename(file)}`
  return [
    ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c', START, 'sh'],
    ...[root, dirname(reports), reports],
    ...[machine.initrd ? umlInitrd(machine.release, machine.initrd) : '', boot.cut ? flushWatcher() : ''],
    // Where it keeps its own files.
    ...['uml_dir=/tmp/', 'umid=machine', `mem=${memory}M`],
    // `t` turns off requests to discard blocks or to fill them with zeros, which unflushed.c does not see.
    ...disks.map(({ file }, index) => `ubd${index}${boot.cut ? 't' : ''}=${inside(file)}`),
    ...(machine.initrd ? ['initrd=/initrd'] : []),
    // One console is standard output, the second serial line carries the reports; there are no others.
    // (systemd takes tty0 for the terminal in front, which it does not find here, and asks no passphrase.)
    ...['con=null', `con1=${isTyped ? 'fd:0' : 'null'},fd:1`, 'ssl=null', 'ssl1=null,fd:3', 'console=tty1'],
    ...['panic=-1', 'printk.time=1', 'TERM=dumb'],
    // This kernel is built for a log of 16 KiB. On a busy processor, that is full before journald reads it.
    'log_buf_len=1M',
    // This kernel (7.2) panics if a process that has an io_uring, like Node.js, starts another program.
    'sysctl.kernel.io_uring_disabled=2',
    // Otherwise it traces its processes with ptrace(2), which takes 1.6 times the processor time.
    'seccomp=auto',
    ...words,
  ]
}
