import type { Extension } from '../../src/stack/extension.js'
import type { Plan } from '../../src/stack/plan.js'

/** An extension as metadata could have it at its worst. */
export function makeExtension(name: string, image = 'image:1'): Extension {
  return {
    container: {
      id: 'a'.repeat(64),
      name,
      image,
      imageId: `sha256:${'b'.repeat(64)}`,
      driver: 'overlay2',
      labels: new Map(),
      start: 'never',
      isBuildStep: false,
      dying: undefined,
      source: `/data 100%/containers/${'a'.repeat(64)}/config.v2.json`,
    },
    layers: { directory: '/data 100%/overlay2', lower: ['l/ABCDEFGHIJKLMNOPQRSTUVWXYZ'] },
    contents: { top: new Set(['usr']), indexes: new Set(), sysusers: false },
    rank: { kind: 'feature' },
    below: undefined,
  }
}

export function makePlan(change: Partial<Plan> = {}): Plan {
  return {
    extensions: [makeExtension('one'), makeExtension('two')],
    above: 1,
    state: ['/var'],
    etc: { mode: 'read-only' },
    carried: [],
    machineId: undefined,
    separateUsr: false,
    indexes: [],
    sysusers: false,
    upToDate: false,
    rootOptions: ['rw', 'noatime'],
    checkRoot: false,
    dataRoot: '/var/lib/docker',
    bindDataRoot: undefined,
    dataMounts: [],
    settled: [],
    checkedDevices: [],
    remount: [],
    tmp: false,
    target: 'default.target',
    pulledIn: [],
    softReboot: true,
    timeout: 60,
    collected: false,
    trial: undefined,
    rolledBack: undefined,
    alsoHold: [],
    ...change,
  }
}

/** The text of the file at `path`. */
export function textOf(
  files: readonly ({ path: string } & ({ text: string } | { link: string }))[],
  path: string,
): string {
  const file = files.find((file) => file.path === path)
  if (!file) throw new Error(`no ${path} among ${files.map((file) => file.path).join(' ')}`)
  return 'text' in file ? file.text : `-> ${file.link}`
}
