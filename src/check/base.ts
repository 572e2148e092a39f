import { findDataRoots, findHomes } from '../engine/places.js'
import type { Ids } from '../image/accounts.js'
import { architectureOf } from '../image/architecture.js'
import { type Host, hostOf } from '../image/compatibility.js'
import { type Base, makeBase, readIds } from '../image/kept.js'
import { AUTOMATIC_STATE } from '../machine/configuration.js'
import { inputRoot, listDirectory, type Root, resolveLinks, statLink } from '../machine/files.js'
import { readMachine } from '../machine/machine.js'
import { nextBootRoot } from '../machine/next-boot.js'
import { nameOf } from '../machine/os-release.js'
import { findAgainst } from '../stack/against.js'
import type { Against } from '../stack/facts.js'
import { findOver } from '../stack/mounts.js'
import { chooseState, findUsed, hasWritableRoot } from '../stack/state.js'
import { printable } from '../text/printable.js'

/** The root that an image is compared with, and all that matters about its machine. */
export type Compared = Against & {
  root: Root
  base: Base
  /**
   * What it is, for people: `debian 12 at /`; undefined if there is no root: the image alone is looked at.
   */
  name: string | undefined
  /** The machine; undefined without a root. */
  host: Host | undefined
  /** The releases of the kernels whose modules the root has, and of the one that runs. */
  kernels: string[]
  /** The processor, as Go calls it; undefined if nothing tells. */
  architecture: string | undefined
  /** The IDs that earlier preparations on the machine have given out. */
  remembered: Ids
}

/** A place where nothing is and nobody can put anything. (Below a file, each look would be an exception.) */
const NOTHING: Root = { prefix: '/proc/none' }

/** What is compared with if there is no root. */
export function noRoot(): Compared {
  return {
    root: NOTHING,
    base: makeBase(NOTHING, '', AUTOMATIC_STATE),
    ...{ name: undefined, host: undefined, kernels: [], architecture: undefined },
    ...{ essential: [], places: [], state: [...AUTOMATIC_STATE] },
    remembered: { users: {}, groups: {} },
  }
}

/** Whether this is a machine that has hostext, so that an image here is most likely for this machine. */
export function hasHostext(environment: NodeJS.ProcessEnv): boolean {
  const generators = ['/usr/lib', '/lib'].map((lib) => `${lib}/systemd/system-generators/hostext-generator`)
  return generators.some((path) => statLink(inputRoot(environment), path) !== undefined)
}

/**
 * Reads the root that `environment` names, or the one that is running, as the next boot will find it. Throws
 * an Error if it is not the root of a system.
 */
export function readRoot(environment: NodeJS.ProcessEnv): Compared {
  const root = nextBootRoot(environment)
  const where = root.prefix || '/'
  if (!statLink(root, '/usr') || !statLink(root, '/etc'))
    throw new Error(`${printable(where)} is not a root file system: it has no /usr or no /etc`)
  const machine = readMachine(root, environment)
  const { places, containerd } = findDataRoots(root, machine.configuration.dataRoot)
  const isWritable = hasWritableRoot(machine)
  const { state } = chooseState(machine.configuration.state, isWritable, machine.planned, machine.directories)
  const used = isWritable ? findUsed(machine, state) : []
  const against = findAgainst(
    machine,
    places,
    state,
    used.flatMap(({ kind, path }) => (kind === 'directory' ? path : [])),
  )
  const system = nameOf(machine.os)
  const modules = ['/usr/lib/modules', '/lib/modules'].flatMap((path) => listed(root, path))
  return {
    ...against,
    root,
    base: makeBase(root, system, against.state, findOver(machine)),
    name: `${printable(system || 'a system without a name', 80)} at ${printable(where)}`,
    host: hostOf(machine),
    kernels: [...new Set([machine.release, ...modules])].filter(Boolean),
    architecture: architectureOf(root),
    remembered: rememberedIds(root, findHomes({ places, containerd })),
  }
}

function listed(root: Root, path: string): string[] {
  try {
    return listDirectory(root, resolveLinks(root, path))
  } catch {
    return []
  }
}

/** Those of the first directory that has some: one machine has one engine. */
function rememberedIds(root: Root, homes: readonly string[]): Ids {
  const all = homes.map((home) => readIds(root, home))
  return (
    all.find(({ users, groups }) => Object.keys(users).length + Object.keys(groups).length > 0) ?? {
      users: {},
      groups: {},
    }
  )
}
