import { kindOf } from './assemble.js'
import type { Emulator, Start } from './disk-machine.js'
import type { Machine } from './machine.js'
import { run } from './process.js'
import { debian } from './rootfs.js'

/**
 * Turns off what only costs an emulated machine time: a fifth level of page tables, a module of a hypervisor.
 */
const CPU = 'max,la57=off,svm=off'

/**
 * QEMU as an emulator: Debian's own kernel and initrd, and devices. Its disks keep what was not flushed.
 */
export const qemu: Emulator = {
  device: (index) => `/dev/vd${'abcdefgh'[index]}`,
  stall: 90,
  run: (start, options) => run(['qemu-system-x86_64', ...words(start)], options),
}

function words({ machine, disks, boot, words, reports }: Start): string[] {
  if (boot.cut) throw new Error('in QEMU a cut would lose nothing; user-mode Linux is there for that')
  const { kernel, initrd } = debian(machine.release, kindOf(machine))
  const lean = machine.lean ? leanWords(machine) : []
  const append = ['console=ttyS0', 'panic=-1', 'mitigations=off', ...lean, ...words]
  const memory = boot.memory ?? machine.memory ?? (machine.device ? 1536 : 768)
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', CPU, '-m', String(memory), '-smp', '1'],
    ...['-nographic', '-no-reboot', '-nodefaults'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', append.join(' ')],
    ...disks.flatMap(({ file }) => ['-drive', `file=${file},if=virtio,format=raw,cache=unsafe`]),
    ...(machine.devices ?? []).flatMap((device) => ['-device', device]),
    ...['-serial', 'stdio', '-serial', `file:${reports}`],
    ...(boot.qemu ?? []),
  ]
}

/** Modules that the initrd loads for disks and file systems that a lean machine does not have. */
function leanWords({ rootFilesystem }: Machine): string[] {
  const btrfs = rootFilesystem === 'btrfs' ? [] : ['module_blacklist=btrfs,raid6_pq,xor']
  return ['modprobe.blacklist=ata_piix,ata_generic', ...btrfs]
}
