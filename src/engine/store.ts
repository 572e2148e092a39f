import type { Root } from '../machine/files.js'
import { isObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import { DAEMON_JSON, readDaemonJson, readDaemonWords } from './daemon.js'

/**
 * Docker keeps images in one of two stores: that of a storage driver of its own, or that of containerd, whose containers have
 * the snapshotter's name for a driver. An engine that has changed its store, or its driver, leaves its old containers where
 * they were, lists none of them and cannot remove them. They are not what the engine has.
 */
const CONTAINERD = 'overlayfs'
const DEFAULT_DRIVER = 'overlay2'
const FEATURE = 'containerd-snapshotter'

/** What dockerd was told of its store, and where. */
export type StoreSettings = {
  containerd: { value: boolean; where: string } | undefined
  driver: { value: string; where: string } | undefined
}

/** The driver that the containers of the store in use have, and how that is known. */
export type Store = { driver: string; why: string }

/** What daemon.json and dockerd's command line say of the store. What cannot be read says nothing. */
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
 * The store in use, by moby's rule (daemon/daemon.go): the feature decides; otherwise a driver that is named; otherwise the
 * driver that has data. `drivers`: those of all containers. Where there are containers of containerd and nothing says that
 * their store is not used, it is: Docker 29 makes it the default of an engine without data.
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

/** Why a container of this driver is none that the engine still has, or undefined. */
export function findStale(driver: string, store: Store): string | undefined {
  if (driver === store.driver || ![DEFAULT_DRIVER, CONTAINERD].includes(driver)) return undefined
  return `it is in the ${nameOf(driver)} store, but the engine now uses the ${nameOf(store.driver)} store: create it again there (${store.why})`
}

function nameOf(driver: string): string {
  return driver === CONTAINERD ? 'containerd' : printable(driver, 40)
}
