import type { UnitFile } from '../text/unit-syntax.js'

/** Ours for `unit`, of the locked system. `number`: another one for a second drop-in of the same unit. */
export function dropIn(unit: string, text: string, number = 50): UnitFile {
  return { path: `normal/${unit}.d/${number}-hostext.conf`, text: `# Written by hostext-generator.\n${text}` }
}
