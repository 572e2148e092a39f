/**
 * What a case took: its boots, their seconds, and all its seconds, including those for making the machine and
 * its images.
 */
export type Time = { way: string; name: string; boots: number; booting: number; seconds: number }

/** The start of such a line, in the comments of the case. */
const MARK = '>> '

/** A comment that says what a case took; {@link timesIn} parses it. */
export function timeLine({ way, name, boots, booting, seconds }: Time): string {
  return `${MARK}${way}: ${boots} boots, ${booting.toFixed(1)} s of ${seconds.toFixed(1)} s: ${name}`
}

/** What the cases of a tier took, from its output (TAP). */
export function timesIn(tap: string): Time[] {
  const lines = tap.matchAll(/^ *# >> (\S+): (\d+) boots, ([\d.]+) s of ([\d.]+) s: (.*)$/gm)
  return [...lines].map(([, way = '', boots, booting, seconds, name = '']) => ({
    way,
    name,
    boots: Number(boots),
    booting: Number(booting),
    seconds: Number(seconds),
  }))
}

/**
 * One line about all of them; undefined if there are none. Several run at once, so the sum exceeds the
 * elapsed time.
 */
export function summary(times: readonly Time[]): string | undefined {
  if (times.length === 0) return undefined
  const sum = (key: 'boots' | 'booting' | 'seconds') => times.reduce((total, time) => total + time[key], 0)
  const [boots, booting, seconds] = [sum('boots'), sum('booting'), sum('seconds')]
  const each = boots > 0 ? ` (${(booting / boots).toFixed(1)} s each)` : ''
  const making = (seconds - booting).toFixed(0)
  return `${times.length} cases, ${boots} boots in ${booting.toFixed(0)} s${each}, ${making} s for the machines`
}

/** One line for each case, the longest first. */
export function table(times: readonly Time[]): string {
  const sorted = times.toSorted((a, b) => b.seconds - a.seconds)
  return sorted
    .map(({ seconds, booting, boots, way, name }) =>
      [
        seconds.toFixed(1).padStart(7),
        booting.toFixed(1).padStart(7),
        String(boots).padStart(3),
        way.padEnd(9),
        name,
      ].join('  '),
    )
    .join('\n')
}
