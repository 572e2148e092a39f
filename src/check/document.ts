import type { Finding, FindingLevel } from './finding.js'
import type { Privileged } from './privileges.js'
import type { BroughtUnit } from './units.js'

/**
 * What `hostext check --json` prints. All text is printable, and paths are cut off where they are very long.
 */
export type CheckDocument = {
  /** What was looked at. */
  subject: {
    format: string
    name: string
    layers: number
    architecture: string | null
    system: string | null
  }
  /** What it was compared with; null if the image alone was looked at. */
  root: { name: string } | null
  /** Where its files go: above the root or below it; null if it is not an extension. */
  position: 'above' | 'below' | null
  labels: Record<string, string> | null
  size: {
    /** Of the image, as a container would see it. */
    image: { files: number; directories: number; bytes: number }
    /** Of what it becomes. `copied`: the bytes that take room besides the engine's layers. */
    tree: { files: number; directories: number; bytes: number; copied: number }
  }
  findings: { level: FindingLevel; group: string; code: string; path: string | null; text: string }[]
  /** Users and groups that the machine gets, with their IDs there; null: systemd-sysusers chooses. */
  users: { name: string; id: number | null; from: string }[]
  groups: { name: string; id: number | null; from: string }[]
  /** What is copied to the directories of state, parents first. */
  state: string[]
  units: BroughtUnit[]
  /** Kernel modules by the release of the kernel that they are for. */
  modules: { release: string; count: number }[]
  privileges: Privileged[]
  summary: Record<FindingLevel, number>
}

/** How many findings of each level there are. */
export function countLevels(findings: readonly Finding[]): Record<FindingLevel, number> {
  const count = { error: 0, warning: 0, notice: 0 }
  for (const { level } of findings) count[level]++
  return count
}
