import { printable } from '../text/printable.js'

/**
 * The kernel command line: which words it has, and what they ask for.
 *
 * Rules: Documentation/admin-guide/kernel-parameters.rst (quoting), systemd(1) and
 * kernel-command-line(7) (which words select a target).
 */

export type KernelCommandLine = {
  /** Why nothing may be stacked in this boot; undefined if something may. */
  off?: string
  /** The unit PID 1 boots into: `systemd.unit=` or a run level; `default.target` otherwise. */
  target: string
  /** Why hostext must not take over the default target; undefined if it may. */
  otherTarget?: string
  /** The last of `ro` and `rw`, if either is there. */
  root?: 'ro' | 'rw'
  /** `balena_kernel_abi=`: the sha256 of the running kernel. */
  kernelAbi?: string
  /** `hostext.skip=`: the names of extensions to be left out. */
  skip?: string[]
  /**
   * Units that systemd-debug-generator(8) adds to the target although they need nothing of the system:
   * `systemd.debug_shell`, `systemd.break=`.
   */
  debugUnits?: string[]
  /** The values of `systemd.mount-extra=`: systemd-fstab-generator(8), from 254 on. */
  mountExtra?: string[]
  /** The same of `systemd.swap-extra=`. */
  swapExtra?: string[]
  /** `systemd.volatile=state`: /var is in memory, if nothing else is mounted there. */
  volatileVar?: true
  /** `systemd.gpt_auto=0`: no partition is found by its type. */
  gptAuto?: false
  /** The words that name the image of the root or of /usr by its hash: systemd-veritysetup-generator(8). */
  verity?: string[]
  /** What {@link forNextBoot} has taken away, as one says it: `emergency on the kernel command line`. */
  once?: string
}

/**
 * Splits a command line as the kernel does (lib/cmdline.c, next_arg). Words end at white space, except
 * between double quotes. Quotes around a value or around a whole word are dropped.
 */
export function splitCommandLine(text: string): string[] {
  const words: string[] = []
  for (const [raw] of text.matchAll(/(?:"[^"]*(?:"|$)|[^\s"])+/g)) {
    const equals = raw.startsWith('"') ? -1 : raw.indexOf('=')
    words.push(equals < 0 ? unquote(raw) : raw.slice(0, equals + 1) + unquote(raw.slice(equals + 1)))
  }
  return words
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1).replace(/"$/, '') : text
}

/**
 * Splits the arguments of a container's PID 1 (/proc/1/cmdline): each ends with NUL, and there are no quotes.
 */
export function splitArguments(text: string): string[] {
  return text.split('\0').slice(1).filter(Boolean)
}

export const OFF_SWITCHES = ['balena.nohostext', 'mobynit.no_overlays']
/** Words that ask PID 1 for a repair boot: systemd(1), "emergency", "rescue" and their aliases. */
export const REPAIR_WORDS = new Set(['emergency', 'rescue', 'single', 's', 'S', '1', '-b'])
const REPAIR_UNITS = new Set(['rescue.target', 'emergency.target', 'rescue.service', 'emergency.service'])
const RUN_LEVEL_TARGETS = new Map([
  ['2', 'multi-user.target'],
  ['3', 'multi-user.target'],
  ['4', 'multi-user.target'],
  ['5', 'graphical.target'],
])

/** The values of `systemd.break=`: kernel-command-line(7), from 258 on. */
const BREAKPOINTS = ['pre-udev', 'pre-basic', 'pre-mount', 'pre-switch-root']
const VERITY_WORDS = new Set(['roothash', 'usrhash'])

/**
 * A target that hostext.target can replace, with a name that is safe as a file name. An alias must have the
 * type of its unit, and cannot replace an instance: systemd.unit(5).
 */
const TARGET_NAME = /^[A-Za-z0-9:_.\\-]{1,240}\.target$/

/** What the words of a command line ask for. Later words win, as for PID 1. Never throws. */
export function readCommandLine(words: readonly string[]): KernelCommandLine {
  const result: KernelCommandLine = { target: 'default.target' }
  const switches = new Map<string, string>()
  let repair: string | undefined

  for (const word of words) {
    if (REPAIR_WORDS.has(word)) repair = word
    result.target = RUN_LEVEL_TARGETS.get(word) ?? result.target
    if (word === 'ro' || word === 'rw') result.root = word

    const equals = word.indexOf('=')
    // To the kernel and systemd, `-` and `_` in the name of a parameter are the same.
    const key = (equals < 0 ? word : word.slice(0, equals)).replaceAll('-', '_')
    const value = equals < 0 ? undefined : word.slice(equals + 1)

    if (OFF_SWITCHES.includes(key)) {
      if (isFalse(value)) switches.delete(key)
      else switches.set(key, word)
    }
    if (key === 'systemd.unit' && value) {
      if (REPAIR_UNITS.has(value)) repair = word
      else result.target = value
    }
    if (key === 'balena_kernel_abi' && value) result.kernelAbi = value
    if (key === 'hostext.skip' && value)
      result.skip = [...(result.skip ?? []), ...value.split(',').filter(Boolean)]
    if (key === 'systemd.swap_extra' && value) result.swapExtra = [...(result.swapExtra ?? []), value]
    if (key === 'systemd.mount_extra' && value) result.mountExtra = [...(result.mountExtra ?? []), value]
    if (key === 'systemd.volatile') {
      if (value === 'state') result.volatileVar = true
      else delete result.volatileVar
    }
    if (key === 'systemd.gpt_auto') {
      if (isFalse(value)) result.gptAuto = false
      else delete result.gptAuto
    }
    const isShell = key === 'systemd.debug_shell' && !isFalse(value)
    const stops =
      key === 'systemd.break' ? BREAKPOINTS.filter((name) => value === undefined || name === value) : []
    if (isShell || stops.length > 0)
      result.debugUnits = [
        ...(result.debugUnits ?? []),
        ...(isShell ? ['debug-shell.service'] : []),
        ...stops.map((name) => `breakpoint-${name}.service`),
      ]
    if (VERITY_WORDS.has(key) && value) result.verity = [...(result.verity ?? []), word]
    // systemd-run-generator(8) takes over the default target, and systemd-debug-generator(8) adds units to
    // it. They, and everything they need, would start before the switch.
    if (key === 'systemd.run' || key === 'systemd.wants')
      result.otherTarget = `${key}= on the kernel command line`
  }

  const off = [...switches.values()][0] ?? repair
  if (off !== undefined) result.off = `${printable(off)} on the kernel command line`
  if (!TARGET_NAME.test(result.target)) {
    result.otherTarget = `systemd.unit=${printable(result.target)} on the kernel command line is not a plain target`
    result.target = 'default.target'
  }
  return result
}

/**
 * What a command line asks of the next boot: without what somebody adds for one boot, to repair or to try
 * something. It may be there for good, so `once` says what it was.
 */
export function forNextBoot({ off, otherTarget, ...lasting }: KernelCommandLine): KernelCommandLine {
  const once = off ?? otherTarget
  return once === undefined ? { ...lasting } : { ...lasting, once }
}

/** What leaves extensions out, as one says it. */
export const SKIP = 'hostext.skip= on the kernel command line'

/** systemd's words for false (parse_boolean), in any case. A bare word and everything else are not false. */
function isFalse(value: string | undefined): boolean {
  return value !== undefined && /^(?:0|no|n|false|f|off)$/i.test(value)
}
