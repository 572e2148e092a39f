import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { showStatus } from '../../../src/commands/status.js'
import { generate } from '../../../src/generator.js'
import { renderLines } from '../../../src/report/screen.js'
import { prepareCase } from '../../support/case.js'
import { callsOf, runningCase } from '../../support/running.js'
import { makeTree } from '../../support/tree.js'

const DATA = 'var/lib/docker'

async function status(t: Test, name: string, change?: (root: string) => void, words = '') {
  const { root, call } = await runningCase(t, name, words)
  change?.(root)
  const answer = showStatus(call())
  const text = renderLines(answer.lines, call().screen).replaceAll(/[0-9a-f]{12}/g, 'ID')
  return { ...answer, text, root, first: text.split('\n', 1)[0] as string }
}

t.test('on trial', async (t) => {
  const { text, status: code, document } = await status(t, 'soft-reboot')
  t.equal(code, 5)
  t.match(
    text,
    /^on trial, boot 1 of 2: 4 host extensions are stacked: override, many-layers, one-layer, additive\n\nThis boot\n {2}root {8}stacked\n {4}0 {2}override \(override:1, ID\), override=10, above the root\n/,
  )
  t.match(text, /\n {4}\/ {2}the root\n {4}3 {2}additive \(additive:1, ID\), overlay, below the root\n/)
  t.match(text, '\nThe next boot\n  the same\n\nThe last good boot\n  none is on record\n')
  t.match(document, {
    verdict: { kind: 'on trial' },
    thisBoot: { root: 'stacked', safety: { kind: 'on trial', attempt: 1, attempts: 2 } },
    lastGood: null,
  })
})

t.test('as intended: the stack has booted well', async (t) => {
  const { first, status: code } = await status(t, 'known-good')
  t.equal(code, 0)
  t.match(first, /^as intended: 4 host extensions are stacked: /)
  const marked = await status(t, 'soft-reboot', (root) => writeFileSync(join(root, 'run/hostext/good'), ''))
  t.match(marked, { status: 0, first: /^as intended: / })
})

t.test('a boot to repair something: what the next one does without the word', async (t) => {
  for (const word of ['balena.nohostext', 'systemd.unit=rescue.target', 'systemd.run=/bin/true']) {
    const { first, text, status: code } = await status(t, 'known-good', undefined, word)
    t.equal(code, 0)
    t.match(
      first,
      /^as intended: the root is plain: .* on the kernel command line; without it, the next boot stacks /,
    )
    t.match(text, /\nThe next boot\n {2}root {8}stacked\n {4}0 {2}override /)
    t.match(
      text,
      /\n {2}warning +this boot has .* on the kernel command line: the next one is shown without it\n/,
    )
  }
  const less = await status(t, 'known-good', undefined, 'hostext.skip=one-layer')
  t.match(less, {
    status: 5,
    first: /^on trial, .*: 3 host extensions are stacked: override, many-layers, additive$/,
  })
})

t.test('rolled back', async (t) => {
  const plain = await status(t, 'rolled-back-to-plain')
  t.equal(plain.status, 4)
  t.match(plain.first, /^rolled back: because of .*; booted the plain root/)
  const back = await status(t, 'rolled-back-to-good')
  t.equal(back.status, 4)
  t.match(back.first, /^rolled back: because of .*; booted the last good stack: /)
  t.match(
    readFileSync(join(back.root, 'run/motd.d/hostext'), 'utf8'),
    /^hostext: rolled back: .*; see "hostext status"\n$/,
    'whoever logs in sees it',
  )
})

t.test('plain, although there are extensions', async (t) => {
  const fallback = await status(t, 'soft-reboot', (root) => {
    writeFileSync(join(root, 'run/hostext/fallback'), '')
    writeFileSync(
      join(root, 'run/hostext.decision'),
      `${readFileSync(join(root, 'run/hostext.decision'), 'utf8')}error: stacking failed: plain root\n`,
    )
  })
  t.equal(fallback.status, 3)
  t.match(fallback.first, 'plain root, although there are extensions: stacking failed: plain root')
  t.match(fallback.text, '\n  left out    override (override:1, ID): stacking failed: plain root\n')
  const none = await status(t, 'no-engine')
  t.match(none, { status: 0, first: /^as intended: the root is plain: no container is a host extension/ })
  t.notOk(existsSync(join(none.root, 'run/motd.d')), 'nothing to see at login')
})

t.test('the next boot differs', async (t) => {
  const { root, call } = await runningCase(t, 'known-good')
  const config = JSON.parse(readFileSync(join(root, 'run/hostext/boot.json'), 'utf8'))
  const { id } = config.extensions.find(({ name }: { name: string }) => name === 'one-layer')
  renameSync(join(root, DATA, 'containers', id), join(root, 'gone'))
  const answer = showStatus(call())
  t.equal(answer.status, 6)
  t.match(
    renderLines(answer.lines, call().screen),
    /^4 host extensions are stacked: .*; the next boot differs/,
  )
})

t.test('what is left out, and the notes', async (t) => {
  const { status: code, text } = await status(t, 'started')
  t.equal(code, 1)
  t.match(text, /\n {2}left out {4}\S+ \(.*\): /)
  const asked = await status(t, 'skip')
  t.match(asked.text, 'hostext.skip= on the kernel command line')
})

t.test('a root that has not booted, and one with damaged files', async (t) => {
  const { root, call } = await runningCase(t, 'soft-reboot')
  rmSync(join(root, 'run'), { recursive: true })
  mkdirSync(join(root, 'run'))
  const answer = showStatus(call())
  t.equal(answer.status, 0)
  t.match(answer.lines[0], 'hostext has not run in this boot; the next one stacks override')
  for (const [files, line] of [
    [
      { 'run/hostext.decision': 'plain root: x\n', 'run/hostext/boot.json': '{' },
      'as intended: the root is plain: x',
    ],
    [{ 'run/hostext.decision': '', 'run/hostext/boot.json': '{"extensions": []}' }, 'nothing was decided'],
  ] as const) {
    const damaged = callsOf(makeTree(t, files))()
    const [first] = showStatus(damaged).lines
    t.match(typeof first === 'string' ? first : first?.text, line)
  }
  const endless = makeTree(t)
  mkdirSync(join(endless, 'run/hostext.decision'), { recursive: true })
  t.throws(() => showStatus(callsOf(endless)()), /hostext\.decision: /)
})

t.test('as a figure and as a picture', async (t) => {
  const { call, root } = await runningCase(t, 'soft-reboot')
  const figure = showStatus(call([], { graph: true })).lines
  t.match(figure.at(2), /^┌─+┐$/)
  const file = join(root, 'stack.svg')
  t.same(showStatus(call([], { svg: file })).lines, [`the picture is in ${file}`])
  t.match(readFileSync(file, 'utf8'), /^<svg .*<\/svg>\n$/s)
})

t.test('what cannot be said at login does not cost the stack', async (t) => {
  const { root } = await prepareCase(t, 'rolled-back-to-good')
  const directories = ['', '.early', '.late'].map((suffix) => join(root, `run/systemd/generator${suffix}`))
  for (const directory of directories) mkdirSync(directory, { recursive: true })
  writeFileSync(join(root, 'run/motd.d'), 'no directory')
  const [normal = '', early = '', late] = directories
  generate({ HOSTEXT_ROOT: root }, normal, early, late)
  t.ok(existsSync(join(root, 'run/hostext.decision')))
  t.ok(readdirSync(early).includes('default.target'), 'the boot is taken')
})
