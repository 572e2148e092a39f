import type { Root } from '../machine/files.js'
import { isObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import { DAEMON_JSON, readDaemonJson, readDaemonWords } from './daemon.js'

/**
 * Docker keeps images in one of two stores: that of one of its own storage drivers, or that of containerd,
 * whose containers have the name of the snapshotter as their driver. If an engine changes its store or its
 * driver, it leaves its old containers behind: it neither lists nor removes them. They must not be stacked.
 */
const CONTAINERD = 'overlayfs'
const DEFAULT_DRIVER = 'overlay2'
const FEATURE = 'containerd-snapshotter'

/** What dockerd's settings say about its store, and where they say it. */
export type StoreSettings = {
  containerd: { value: boolean; where: string } | undefined
  driver: { value: string; where: string } | undefined
}

/** The driver of the containers in the store that is in use, and how that is known. */
export type Store = { driver: string; why: string }

/** What daemon.json and dockerd's command line say about the store. Files that cannot be read are ignored. */
export function readStoreSettings(root: Root): StoreSettings {
  const settings: StoreSettings = { containerd: undefined, driver: undefined }
  const words = readDaemonWords(root).join(' ')
  const where = "dockerd's command line"
  const feature = new RegExp(` --feature[ =]${FEATURE}(?:=(\\w+))?(?= |$)`).exec(words)
  if (feature) settings.containerd = { value: !/^(?:0|f|false)$/i.test(feature[1] ?? ''), where }
  const driver = / (?:--storage-driver|-s)[ =](\S+)/.exec(words)?.[1]
  if (driver) settings.driver = { value: driver, where }
  let json: Record<string, unknown>
  try {
    json = readDaemonJson(root) ?? {}
  } catch {
    return settings
  }
  const { features, 'storage-driver': named } = json
  const value = isObject(features) ? features[FEATURE] : undefined
  if (typeof value === 'boolean') settings.containerd = { value, where: DAEMON_JSON }
  if (typeof named === 'string' && named !== '') settings.driver = { value: named, where: DAEMON_JSON }
  return settings
}

/**
 * The store in use, by moby's rule (daemon/daemon.go): the feature decides; without it the driver that is
 * named; without that the driver that has data. `drivers` are those of all containers. If there are
 * containers of containerd, and nothing says otherwise, their store is in use: it is Docker 29's default for
 * an engine without data.
 */
export function chooseStore({ containerd, driver }: StoreSettings, drivers: ReadonlySet<string>): Store {
  if (containerd?.value) return { driver: CONTAINERD, why: `${containerd.where} turns ${FEATURE} on` }
  if (driver) return { driver: driver.value, why: `${driver.where} names it` }
  if (containerd) return { driver: DEFAULT_DRIVER, why: `${containerd.where} turns ${FEATURE} off` }
  if (drivers.has(CONTAINERD))
    return {
      driver: CONTAINERD,
      why: `it has containers there; if it no longer uses that store, set ${FEATURE} to false in the features of ${DAEMON_JSON}`,
    }
  return { driver: DEFAULT_DRIVER, why: 'it is the only one' }
}

/** Why the engine no longer has a container of this driver; undefined if it has. */
export function findStale(driver: string, store: Store): string | undefined {
  if (driver === store.driver || ![DEFAULT_DRIVER, CONTAINERD].includes(driver)) return undefined
  return `it is in the ${nameOf(driver)} store, but the engine now uses the ${nameOf(store.driver)} store: create it again there (${store.why})`
}

function nameOf(driver: string): string {
  return driver === CONTAINERD ? 'containerd' : printable(driver, 40)
}
