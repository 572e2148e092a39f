import type { LeftOut } from '../image/extension.js'
import { printable } from '../text/printable.js'
import { literal, type UnitFile } from '../text/unit-syntax.js'
import { DOCUMENTATION } from './layer.js'

/** The most extensions that are left out and get a unit; all of them are in `hostext status`. */
const MOST = 50

/** A unit for each extension that is left out, whose description says why; `names`: of the units. */
export function leftOutUnits(leftOut: readonly LeftOut[]): { names: string[]; files: UnitFile[] } {
  const units = new Map<string, UnitFile>()
  for (const [index, { who, why, container }] of leftOut.slice(0, MOST).entries()) {
    const name = `hostext-left-out-${nameOf(container?.name, index)}.target`
    const what = container
      ? `Host extension ${printable(container.name, 60)} (${printable(container.image, 100)})`
      : `Host extensions: ${printable(who, 160)}`
    units.set(name, {
      path: `normal/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(`${what} is left out: ${printable(why, 300)}`)}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
`,
    })
  }
  return { names: [...units.keys()], files: [...units.values()] }
}

/** An engine's names can be part of a unit's; anything else gets a number. */
function nameOf(name: string | undefined, index: number): string {
  return name !== undefined && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/.test(name) ? name : String(index)
}

/**
 * The units of a plain boot in which there are extensions: one that says why it is plain, and those that are
 * left out. `isWaited`: the boot had to wait for the decision, and hostext.target was what waited.
 */
export function plainUnits(
  leftOut: readonly LeftOut[],
  why: string,
  target: string,
  isWaited: boolean,
): UnitFile[] {
  const { names, files } = leftOutUnits(leftOut)
  const description = `Description=${literal(`Host extensions: none is stacked: ${printable(why, 500)}`)}\n`
  const wanted = isWaited ? names : ['hostext.target']
  return [
    ...files,
    isWaited
      ? { path: 'normal/hostext.target.d/50-hostext.conf', text: `[Unit]\n${description}` }
      : {
          path: 'normal/hostext.target',
          text: `# Written by hostext-generator.
[Unit]
${description}Documentation=${DOCUMENTATION}
DefaultDependencies=no
Wants=${names.join(' ')}
`,
        },
    ...[...wanted, REPORT_SERVICE].map((name) => ({
      path: `normal/${target}.wants/${name}`,
      link: name === REPORT_SERVICE ? `/usr/lib/systemd/system/${name}` : `../${name}`,
    })),
  ]
}

/** Sends what programs look for to the journal: generators/steps/report. */
export const REPORT_SERVICE = 'hostext-report.service'
