import t from 'tap'
import { Findings } from '../../../src/check/finding.js'
import { checkLabels, distance, findNear, LABELS } from '../../../src/check/labels.js'

const FEATURE = 'io.balena.features.host-extension'

function check(labels: Record<string, string>) {
  const findings = new Findings()
  const rank = checkLabels(new Map(Object.entries(labels)), findings)
  return { rank, lines: findings.sorted().map(({ level, path = '', text }) => `${level}: ${path}: ${text}`) }
}

t.test('labels that are as they should be', async (t) => {
  t.same(check({ [FEATURE]: '1', maintainer: 'x', 'org.opencontainers.image.title': 'y' }), {
    rank: { kind: 'feature' },
    lines: [],
  })
  t.match(check({ 'io.balena.image.class': 'overlay', 'io.balena.image.override': '3' }), {
    rank: { kind: 'override', priority: 3 },
    lines: { length: 0 },
  })
})

t.test('near misses', async (t) => {
  const near: Record<string, string | undefined> = {
    'io.balena.feature.host-extension': FEATURE,
    'io.balena.features.host-extensions': FEATURE,
    'io.balena.features.host_extension': FEATURE,
    'io.balena.features.hostextension': FEATURE,
    'IO.Balena.Features.Host-Extension': FEATURE,
    'io.balena.features.hots-extension': FEATURE,
    'io.balena.host-extension': FEATURE,
    'com.balena.features.host-extension': FEATURE,
    'balena.io.feature.host-extension': 'balena.io.features.host-extension',
    'io.balena.image.overide': 'io.balena.image.override',
    'io.balena.image.kernel_version': 'io.balena.image.kernel-version',
    'io.balena.image.os_version': 'io.balena.image.os-version',
    'io.balena.image.clas': 'io.balena.image.class',
    'io.balena.features.kernel-modules': undefined,
    'io.balena.features.dbus': undefined,
    'io.balena.image.store': undefined,
    'org.opencontainers.image.version': undefined,
    'com.example.class': undefined,
    maintainer: undefined,
    '': undefined,
    ['x'.repeat(10_000)]: undefined,
  }
  for (const [name, label] of Object.entries(near)) t.equal(findNear(name), label, name)
  for (const label of LABELS) t.equal(findNear(label), label)
})

t.test('what a misspelt label means depends on the others', async (t) => {
  t.same(check({ 'io.balena.feature.host-extension': '1' }).lines, [
    `error: io.balena.feature.host-extension: hostext does not read it; is ${FEATURE} meant?`,
    'error: : it is not an extension; what makes it one is a label with the right name',
  ])
  t.same(check({ [FEATURE]: '1', 'io.balena.image.overide': '1' }).lines, [
    'warning: io.balena.image.overide: hostext does not read it; is io.balena.image.override meant?',
  ])
  t.same(check({ [FEATURE]: '1', 'io.balena.features.dbus': '1' }).lines, [
    'notice: io.balena.features.dbus: hostext does not read it',
  ])
})

t.test('not an extension', async (t) => {
  t.same(check({}).lines, [`error: : it is not an extension; what makes it one is LABEL ${FEATURE}=1`])
  t.same(check({ [FEATURE]: 'no\x1b' }).rank, { kind: 'feature' })
  t.same(check({ [FEATURE]: 'off' }).lines, [
    `error: : it is not an extension: ${FEATURE} is "off", which says no`,
  ])
  t.match(
    check({ 'io.balena.image.override': '1' }).lines[0],
    /io\.balena\.image\.override alone does not make it one/,
  )
  t.match(check({ [FEATURE]: '1', 'io.balena.image.class': 'service' }).lines[0], /is not an extension$/)
})

t.test('values', async (t) => {
  t.match(check({ [FEATURE]: '1', 'io.balena.image.override': 'high' }).lines, [
    /^warning: .* lowest priority$/,
  ])
  t.match(check({ [FEATURE]: '1', 'io.balena.image.os-version': '!!' }).lines, [
    /^warning: .*the label is ignored$/,
  ])
  t.same(check({ [FEATURE]: '1', 'io.balena.image.os-version': '12' }).lines, [], 'that depends on a machine')
})

t.test('the distance of two words', async (t) => {
  for (const [one, other, expected] of [
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', 'ab', 1],
    ['abc', 'acb', 1],
    ['abc', 'axc', 1],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
  ] as const)
    t.equal(distance(one, other), expected, `${one} ${other}`)
})
