import t from 'tap'
import type { DaemonSettings } from '../../../src/engine/daemon.js'
import { chooseStore, findStale } from '../../../src/engine/store.js'

t.test('the store in use', async (t) => {
  const on = { value: true, where: 'x' }
  const off = { value: false, where: 'x' }
  const named = (value: string) => ({ value, where: 'y' })
  for (const [settings, drivers, driver] of [
    [{}, [], 'overlay2'],
    [{}, ['overlay2'], 'overlay2'],
    [{}, ['overlay2', 'overlayfs'], 'overlayfs'],
    [{ containerd: on }, ['overlay2'], 'overlayfs'],
    [{ containerd: on, driver: named('overlay2') }, ['overlay2'], 'overlayfs'],
    [{ containerd: off }, ['overlay2', 'overlayfs'], 'overlay2'],
    [{ driver: named('overlay2') }, ['overlayfs'], 'overlay2'],
    [{ driver: named('btrfs') }, ['overlay2'], 'btrfs'],
    [{ containerd: off, driver: named('vfs') }, ['overlay2'], 'vfs'],
  ] as [DaemonSettings, string[], string][]) {
    const store = chooseStore(settings, new Set(drivers))
    t.equal(store.driver, driver, JSON.stringify([settings, drivers]))
  }
})

t.test('what is left in another store is named with both, and why', async (t) => {
  const why = 'somebody said so'
  t.equal(findStale('overlay2', { driver: 'overlay2', why }), undefined)
  t.equal(
    findStale('overlay2', { driver: 'overlayfs', why }),
    'it is in the overlay2 store, but the engine now uses the containerd store: create it again there (somebody said so)',
  )
  t.match(
    findStale('overlayfs', { driver: 'overlay2', why }),
    /in the containerd store, .* the overlay2 store:/,
  )
  t.match(findStale('overlay2', { driver: 'btr\nfs', why }), /now uses the btr\\x0afs store:/)
  t.equal(findStale('vfs', { driver: 'overlay2', why }), undefined, 'that is another matter')
})
