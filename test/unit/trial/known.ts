import t from 'tap'
import { seeNothing } from '../../../src/machine/seen.js'
import { seenText } from '../../../src/trial/known.js'

t.test('assignments for the shell', async (t) => {
  const seen = seeNothing()
  seen.texts.add('/etc/fstab').add('/proc/self/mountinfo').add('/proc/cmdline')
  seen.stats.add('/').add('/etc/fstab')
  seen.names.add('/etc/systemd/system')
  seen.containers.set('/var/lib/docker/containers', ['overlay2', 'overlayfs'])
  seen.heads.set('/dev/vda', 17408)
  t.equal(
    seenText(seen),
    `texts='etc/fstab'
stats='.
etc/fstab'
times=''
names='etc/systemd/system'
containers='var/lib/docker/containers overlay2 overlayfs'
heads='17408 dev/vda'
`,
    'without what the shell reads in another way',
  )
})

t.test('a path that the shell would take for something else: nothing is kept', async (t) => {
  for (const path of ["/etc/it's", '/etc/two\nlines', '/etc/ä', '/etc/\x1b[0m', '/etc/\t'])
    for (const kind of ['texts', 'stats', 'times', 'names'] as const) {
      const seen = seeNothing()
      seen[kind].add(path)
      t.equal(seenText(seen), undefined, `${kind}: ${JSON.stringify(path)}`)
    }
  const seen = seeNothing()
  seen.containers.set('/data/containers', ["'; reboot; '"])
  t.equal(seenText(seen), undefined, 'a driver')
})

t.test('a partition table far away on its disk is not kept', async (t) => {
  const seen = seeNothing()
  seen.heads.set('/dev/vda', 2 ** 20)
  t.ok(seenText(seen))
  seen.heads.set('/dev/vda', 2 ** 20 + 1)
  t.equal(seenText(seen), undefined)
})

t.test('other characters are only characters in quotes', async (t) => {
  const seen = seeNothing()
  seen.stats.add('/etc/$(reboot)`reboot`"\\ * ~')
  t.equal(seenText(seen)?.split('\n')[1], "stats='etc/$(reboot)`reboot`\"\\ * ~'")
})
