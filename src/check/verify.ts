import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cut, oneLine } from '../text/printable.js'
import type { Findings } from './finding.js'

/** Milliseconds that systemd-analyze(1) may take. */
const PATIENCE = 20_000

/**
 * Has systemd-analyze(1) verify units, in a temporary directory in which nothing else is. What it says about
 * units that they name, and about programs, does not count: it sees neither the root nor the image.
 */
export function verifyUnits(
  units: readonly { name: string; path: string; text: string }[],
  dropIns: readonly { unit: string; name: string; path: string; text: string }[],
  findings: Findings,
): void {
  if (units.length === 0) return
  const directory = mkdtempSync(`${process.env.TMPDIR || '/tmp'}/hostext-units-`)
  try {
    /** Paths in the image, by those in the directory. */
    const paths = new Map<string, string>()
    const put = (place: string, { path, text }: { path: string; text: string }): void => {
      writeFileSync(`${directory}/${place}`, text)
      paths.set(`${directory}/${place}`, path)
    }
    for (const unit of units) put(unit.name, unit)
    for (const dropIn of dropIns) {
      // A name that needs more than this is none that systemd-analyze could name in one line.
      if (!/^[\w.@:-]{1,200}$/.test(dropIn.name)) continue
      mkdirSync(`${directory}/${dropIn.unit}.d`, { recursive: true })
      put(`${dropIn.unit}.d/${dropIn.name}`, dropIn)
    }
    const { spawnSync } = process.getBuiltinModule('node:child_process')
    const words = ['verify', '--man=no', '--recursive-errors=no']
    const { error, stderr } = spawnSync(
      'systemd-analyze',
      [...words, '--', ...units.map(({ name }) => `${directory}/${name}`)],
      {
        env: { PATH: process.env.PATH ?? '/usr/bin:/bin', SYSTEMD_UNIT_PATH: directory, LC_ALL: 'C' },
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: PATIENCE,
        maxBuffer: 1 << 20,
        encoding: 'utf8',
      },
    )
    if (error && (error as NodeJS.ErrnoException).code === 'ENOENT')
      findings.add(
        'notice',
        'units',
        'not-verified',
        undefined,
        'not verified: there is no systemd-analyze(1) here',
      )
    else if (error)
      findings.add(
        'notice',
        'units',
        'not-verified',
        undefined,
        `not verified: systemd-analyze(1) did not end: ${error.message}`,
      )
    for (const line of new Set((stderr ?? '').split('\n'))) tell(line, units, paths, findings)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function tell(
  line: string,
  units: readonly { name: string; path: string }[],
  paths: ReadonlyMap<string, string>,
  findings: Findings,
): void {
  const inFile = /^(\/[^:]+):(\d+): (.*)$/.exec(line)
  const path = inFile && paths.get(inFile[1] as string)
  if (path !== undefined && path !== null) {
    findings.add('warning', 'units', 'unit-syntax', path, `line ${inFile?.[2]}: ${said(inFile?.[3])}`)
    return
  }
  const about = /^([^\s:]+): (.*)$/.exec(line)
  const unit = units.find(({ name }) => name === about?.[1])
  if (!unit || !/Refusing/.test(about?.[2] ?? '')) return
  findings.add('error', 'units', 'unit-refused', unit.path, said(about?.[2]))
}

function said(text = ''): string {
  return `systemd-analyze: ${oneLine(cut(text, 300))}`
}
