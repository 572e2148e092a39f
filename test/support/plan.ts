import type { Extension } from '../../src/image/extension.js'
import type { Rank } from '../../src/image/labels.js'
import type { BaseIdentity } from '../../src/machine/base-identity.js'
import type { Plan } from '../../src/stack/plan.js'

/** An extension with metadata at its worst. `more`: what is special about it. */
export function makeExtension(name: string, image = 'image:1', more: Partial<Extension> = {}): Extension {
  return {
    container: {
      id: 'a'.repeat(64),
      name,
      image,
      imageId: `sha256:${'b'.repeat(64)}`,
      source: `/data 100%/containers/${'a'.repeat(64)}/config.v2.json`,
    },
    tree: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ.01234567',
    facts: {
      ...{ rules: 1, layers: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', notes: [] },
      ...{ files: 1, directories: 1, bytes: 1, copied: 0 },
      lookedAt: { os: 'debian 12', state: [], places: [], libraries: [], ids: { users: {}, groups: {} } },
    },
    contents: { top: ['usr'], indexes: [], sysusers: false },
    rank: { kind: 'feature' },
    labels: [],
    below: undefined,
    covered: [],
    ...more,
  }
}

/** A base. `change`: what is special about it. */
export function makeIdentity(change: Partial<BaseIdentity> = {}): BaseIdentity {
  return {
    kernel: '6.1.0-1',
    kernelBuild: '#1 SMP Debian 6.1.76-1 (2024-02-01)',
    system: 'debian 12, VERSION=12 (bookworm)',
    root: '',
    changed: '1700000000 1700000060',
    hostext: '1.2.3',
    ...change,
  }
}

/** Extensions with these names; the first `above` of them are above the root. */
export function makeStack(names: readonly string[], above: number): Extension[] {
  const rank = (index: number): Rank => ({ kind: index < above ? 'feature' : 'overlay' })
  return names.map((name, index) => makeExtension(name, 'image:1', { rank: rank(index) }))
}

export function makePlan(change: Partial<Plan> = {}): Plan {
  return {
    extensions: makeStack(['one', 'two'], 1),
    leftOut: [],
    state: ['/var'],
    copied: ['/home', '/var'],
    swapFiles: [],
    overlays: [],
    places: [],
    rootDevice: undefined,
    etc: { mode: 'read-only' },
    bound: false,
    showsBase: false,
    carried: [],
    fromInitrd: [],
    machineId: undefined,
    separateUsr: false,
    indexes: [],
    index: { key: 'key', kept: undefined },
    sysusers: false,
    upToDate: false,
    rootOptions: ['rw', 'noatime'],
    checkRoot: false,
    dataRoot: '/var/lib/docker',
    enginePlace: '/var/lib/docker',
    boundData: [],
    dataMounts: [],
    online: [],
    closedBeforeSwitch: [],
    checkedDevices: [],
    remount: [],
    tmp: false,
    packages: { databases: [], automatic: [] },
    target: 'default.target',
    pulledIn: [],
    softReboot: true,
    timeout: 60,
    collected: false,
    safety: { kind: 'known', keep: undefined },
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
