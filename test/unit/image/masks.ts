import t from 'tap'
import { findUnwantedMask } from '../../../src/image/masks.js'
import { treeOf } from '../../support/image.js'
import { cannotMount } from '../../support/private.js'

const ETC = '/etc/systemd/system'
const LIB = '/usr/lib/systemd/system'

/** What is said about a mask, of a root that has these files. */
const judge = (path: string, isWhole: boolean, ...root: string[]) =>
  findUnwantedMask(path, isWhole, (path) => root.includes(path))

t.test('what a whole system turns off for itself stays on in the root', async (t) => {
  const getty = `${ETC}/getty@.service`
  t.equal(judge(getty, true, `${LIB}/getty@.service`), 'for itself')
  t.equal(judge(getty, true), undefined, 'only the image has it')
  t.equal(judge(getty, true, getty), undefined, 'the same place')
  t.equal(judge(getty, false, `${LIB}/getty@.service`), undefined, 'a small image may turn it off')
  t.equal(judge(`${ETC}/getty@tty1.service`, true, `${LIB}/getty@.service`), 'for itself', 'an instance')
  t.equal(judge(`${ETC}/getty@tty1.service`, true, getty), 'for itself')
  for (const name of [
    ...['systemd/network/99-default.link', 'udev/rules.d/60-block.rules', 'tmpfiles.d/home.conf'],
    ...['systemd/system/cron.service.d/x.conf', 'systemd/system-generators/systemd-fstab-generator'],
  ])
    for (const lib of ['/usr/lib', '/lib', '/usr/local/lib'])
      t.equal(judge(`/etc/${name}`, true, `${lib}/${name}`), 'for itself', name)
  t.equal(judge('/opt/x', true, '/usr/lib/x'), undefined)
})

t.test('what no image may turn off', async (t) => {
  for (const isWhole of [true, false])
    for (const path of [`${ETC}/systemd-remount-fs.service`, `${LIB}/systemd-udevd.service`])
      t.equal(judge(path, isWhole), 'needed')
  t.equal(judge(`${ETC}/hostext-trial.service`, false), 'needed')
  t.equal(judge(`${ETC}/x.wants/systemd-udevd.service`, false), undefined)
  t.equal(judge(`${ETC}/multi-user.target`, false), undefined, 'its stack is rolled back')
  t.equal(judge(`${ETC}/cron.service`, false), undefined)
})

/** Units as images made to run systemd in a container turn them off, and one of the image's own. */
const IMAGE = `mkdir -p etc/systemd/system etc/systemd/network etc/udev usr/lib/systemd/system; cd etc/systemd/system
  for unit in getty@.service getty.target own.service systemd-remount-fs.service; do ln -s /dev/null $unit; done
  ln -s ../../../dev/null logind.service; : >empty.service; ln -s /dev/null ../network/99-default.link
  ln -s /usr/lib/systemd/system/multi-user.target default.target; : >../../environment
  ln -s /usr/lib/systemd/system/own2.service own2.service`
const ROOT = `mkdir -p etc usr/lib/systemd/system usr/lib/systemd/network usr/bin; ln -s usr/lib lib; : >etc/environment
  cd usr/lib/systemd; touch network/99-default.link; cd system
  touch getty@.service getty.target systemd-remount-fs.service logind.service empty.service graphical.target
  ln -s graphical.target default.target`

t.test('in a tree', { skip: cannotMount }, async (t) => {
  const inEtc = (tree: Record<string, string>) =>
    Object.keys(tree)
      .filter((path) => path.startsWith('etc/') && !tree[path]?.startsWith('directory'))
      .map((path) => path.slice('etc/'.length))
  const { tree, made } = await treeOf(t, [IMAGE], ROOT, { isWhole: true })
  t.same(inEtc(tree), ['environment', 'systemd/system/own.service', 'systemd/system/own2.service'])
  t.same(made.notes, [
    'not taken: /etc/systemd/system/default.target: what the machine boots into is for the root to say',
    'not taken: 6 masks by which it turns off for itself what the root has: /etc/systemd/network/99-default.link, /etc/systemd/system/empty.service, /etc/systemd/system/getty.target, /etc/systemd/system/getty@.service, /etc/systemd/system/logind.service, /etc/systemd/system/systemd-remount-fs.service',
  ])
  const looked = new Map(made.looked)
  t.equal(looked.get('/usr/lib/systemd/system/getty.target'), 'file', 'a root without it has another tree')
  t.equal(looked.get('/usr/lib/systemd/system/own.service'), 'nothing')

  const small = await treeOf(t, [IMAGE], ROOT)
  t.equal(inEtc(small.tree).length, 9)
  t.same(small.made.notes, [
    'not taken: /etc/systemd/system/systemd-remount-fs.service: it would turn off a unit without which the machine does not work',
  ])
})
