import type { UnitFile } from '../text/unit-syntax.js'

/** Ours for `unit`, of the locked system. */
export function dropIn(unit: string, text: string): UnitFile {
  return { path: `normal/${unit}.d/50-hostext.conf`, text: `# Written by hostext-generator.\n${text}` }
}
