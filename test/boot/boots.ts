import type { MadeDisk } from './disks.js'
import { type Boot, type BootOptions, type Machine, machineError, type Outcome } from './machine.js'
import type { Ran } from './process.js'

/** Calls `boot` for each boot of the machine. */
export async function bootAll(
  { boots: wanted = [{}] }: Machine,
  boot: (options: BootOptions) => Promise<Boot>,
): Promise<Outcome> {
  const boots: Boot[] = []
  for (const options of wanted) boots.push(await boot(options))
  const last = boots.at(-1)
  if (last === undefined) throw new Error('a machine without boots')
  return { ...last, boots }
}

/** The kernel's words for all boots and for this one, and its number for the reporter. */
export function wordsOf(
  machine: Machine,
  { commandLine = [] }: BootOptions,
  disks: MadeDisk[],
  number: number,
): string[] {
  const own = typeof commandLine === 'function' ? commandLine(disks) : commandLine
  return [...(machine.commandLine ?? []), ...own, `test.boot=${number}`]
}

/** Whether the reporter ends this boot. */
export function isReported({ cut, expectEnd }: BootOptions): boolean {
  return cut === undefined && expectEnd === undefined
}

/** Throws an Error unless the boot has ended as it should. */
export function checkEnd(
  bootOptions: BootOptions,
  { reports, end }: Pick<Boot, 'reports' | 'end'>,
  ran: Ran,
  what: string,
): void {
  const { expectEnd } = bootOptions
  const isCut = end === 'cut'
  const isDone = isReported(bootOptions)
    ? reports.has('END')
    : expectEnd === undefined || expectEnd === 'any' || expectEnd === end
  if ((ran.ended || isCut) && isDone) return
  const how = ran.ended || isCut ? `ended (${end})` : 'did not end'
  const said = [...reports].map(([key, text]) => `${key}: ${text}`).join('\n')
  throw machineError(`${what} ${how} after ${Math.round(ran.seconds)} s; it reported:\n${said}`, ran.console)
}
