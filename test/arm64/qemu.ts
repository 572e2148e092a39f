import type { Emulator, Start } from '../boot/disk-machine.js'
import { run } from '../boot/process.js'
import type { Arm64 } from './rootfs.js'

/** The emulated machine: everything on it is QEMU's own. */
export const MACHINE = [
  ...['-machine', 'virt', '-cpu', 'max,pauth-impdef=on', '-accel', 'tcg,thread=multi'],
  ...['-nographic', '-no-reboot', '-nodefaults'],
]

/**
 * An emulated arm64 machine with disks. It has one serial line, which is its console; the reports are what is
 * there.
 */
export function qemuArm64({ kernel, initrd }: Arm64): Emulator {
  return {
    device: (index) => `/dev/vd${'abcdefgh'[index]}`,
    stall: 300,
    run: (start, options) => run(['qemu-system-aarch64', ...words(start, kernel, initrd)], options),
  }
}

function words({ disks, words, reports }: Start, kernel: string, initrd: string): string[] {
  return [
    ...[...MACHINE, '-m', '1024', '-smp', '2', '-kernel', kernel, '-initrd', initrd],
    ...['-append', ['console=ttyAMA0', 'panic=-1', ...words].join(' ')],
    ...disks.flatMap(({ file }) => ['-drive', `file=${file},if=virtio,format=raw,cache=unsafe`]),
    ...['-chardev', `stdio,id=console,signal=off,logfile=${reports}`, '-serial', 'chardev:console'],
  ]
}
