import { printable } from '../text/printable.js'
import { type DaemonSettings, DOCKER } from './daemon.js'

/**
 * Docker keeps images in one of two stores: that of one of its own storage drivers, or that of containerd,
 * whose containers have the name of the snapshotter as their driver. If an engine changes its store or its
 * driver, it leaves its old containers behind: it neither lists nor removes them. They must not be stacked.
 */
export const CONTAINERD = 'overlayfs'
export const OVERLAY2 = 'overlay2'
const FEATURE = 'containerd-snapshotter'

/** The driver of the containers in the store that is in use, and how that is known. */
export type Store = { driver: string; why: string }

/**
 * The store in use, by moby's rule (daemon/daemon.go): the feature decides; without it the driver that is
 * named; without that the driver that has data. `drivers` are those of all containers. If there are
 * containers of containerd, and nothing says otherwise, their store is in use: it is Docker 29's default for
 * an engine without data.
 */
export function chooseStore(
  { containerd, driver }: Pick<DaemonSettings, 'containerd' | 'driver'>,
  drivers: ReadonlySet<string>,
): Store {
  if (containerd?.value) return { driver: CONTAINERD, why: `${containerd.where} turns ${FEATURE} on` }
  if (driver) return { driver: driver.value, why: `${driver.where} names it` }
  if (containerd) return { driver: OVERLAY2, why: `${containerd.where} turns ${FEATURE} off` }
  if (drivers.has(CONTAINERD))
    return {
      driver: CONTAINERD,
      why: `it has containers there; if it no longer uses that store, set ${FEATURE} to false in the features of ${DOCKER.config}`,
    }
  return { driver: OVERLAY2, why: 'it is the only one' }
}

/** Why the engine no longer has a container of this driver; undefined if it has. */
export function findStale(driver: string, store: Store): string | undefined {
  if (driver === store.driver || ![OVERLAY2, CONTAINERD].includes(driver)) return undefined
  return `it is in the ${nameOf(driver)} store, but the engine now uses the ${nameOf(store.driver)} store: create it again there (${store.why})`
}

function nameOf(driver: string): string {
  return driver === CONTAINERD ? 'containerd' : printable(driver, 40)
}
