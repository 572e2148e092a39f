import t from 'tap'
import { type BootReport, EMPTY_REPORT, type ReportedExtension } from '../../../src/report/boot-report.js'
import { compareBoots, describeRank } from '../../../src/report/difference.js'

const extension = (name: string, more: Partial<ReportedExtension> = {}): ReportedExtension => ({
  ...{ name, image: `${name}:1`, id: name, number: 0, above: true, rank: 'feature', priority: null },
  ...{ imageId: null, tree: `${name.toUpperCase()}.01234567`, unit: 'run-hostext-0.mount' },
  ...more,
})
const boot = (extensions: ReportedExtension[], more: Partial<BootReport> = {}): BootReport => ({
  ...EMPTY_REPORT,
  ...{ root: 'stacked', extensions },
  ...more,
})
const compare = (from: BootReport | undefined, to: BootReport): string[] =>
  compareBoots(from, to).map(({ kind, name, what }) => `${kind} ${name}: ${what}`)

t.test('what another boot does with each extension', async (t) => {
  const [wifi, gpu, tools] = [extension('wifi'), extension('gpu'), extension('tools')]
  t.same(compare(boot([wifi, gpu]), boot([wifi, gpu])), [])
  t.same(compare(undefined, boot([wifi])), ['added wifi: feature, above the root'])
  t.same(compare(boot([wifi, gpu]), boot([gpu])), ['removed wifi: no such container'])
  t.same(compare(boot([wifi, gpu, tools]), boot([gpu, wifi, tools])), [
    'moved gpu: place 1 -> 0',
    'moved wifi: place 0 -> 1',
  ])
  t.same(
    compare(boot([wifi, tools]), boot([gpu, wifi, tools])),
    ['added gpu: feature, above the root'],
    'the others stay',
  )
  t.same(compare(boot([wifi]), boot([extension('wifi', { image: 'wifi:2', tree: 'OTHER.01234567' })])), [
    'changed wifi: wifi:1 -> wifi:2',
  ])
  t.same(compare(boot([wifi]), boot([extension('wifi', { tree: 'OTHER.01234567' })])), [
    'changed wifi: another image of the same name',
  ])
  t.same(compare(boot([wifi]), boot([extension('wifi', { tree: 'WIFI.76543210' })])), [
    'changed wifi: prepared anew, because the base root has changed',
  ])
  t.same(compare(boot([wifi]), boot([extension('wifi', { rank: 'override', priority: 3 })])), [
    'changed wifi: feature, above the root -> override=3, above the root',
  ])
  const leftOut = [{ name: 'wifi', who: 'wifi', why: 'it is for kernel 1', onRequest: false }]
  t.same(compare(boot([wifi]), boot([], { leftOut })), ['removed wifi: it is for kernel 1'])
})

t.test('a boot that is not decided yet', async (t) => {
  const wifi = extension('wifi')
  t.same(compare(boot([wifi]), boot([], { root: 'undecided', why: 'not mounted' })), [], 'nothing is known')
  const unprepared = [{ name: 'gpu', image: 'gpu:2', id: 'gpu' }]
  t.same(compare(boot([wifi]), boot([wifi], { root: 'undecided', unprepared })), [
    'unprepared gpu: new, to be prepared',
  ])
})

t.test('ranks', async (t) => {
  t.equal(
    describeRank(extension('x', { rank: 'override', priority: 'lowest' })),
    'override, lowest priority, above the root',
  )
  t.equal(describeRank(extension('x', { rank: 'overlay', above: false })), 'overlay, below the root')
})
