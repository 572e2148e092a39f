import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { showDifference } from '../../../src/commands/diff.js'
import { runningCase } from '../../support/running.js'

t.test('what the next boot does in another way', async (t) => {
  const { call, root } = await runningCase(t, 'known-good')
  t.match(showDifference(call()), { status: 0, lines: ['the next boot is the same as this one'] })
  const boot = JSON.parse(readFileSync(join(root, 'run/hostext/boot.json'), 'utf8'))
  const { id } = boot.extensions[1]
  renameSync(join(root, 'var/lib/docker/containers', id), join(root, 'gone'))
  t.match(showDifference(call()), {
    status: 6,
    document: { differences: [{ kind: 'removed', name: 'many-layers', what: 'no such container' }] },
    lines: [{ colour: 'red', text: '- many-layers (many-layers:1): no such container' }],
  })
  renameSync(join(root, 'gone'), join(root, 'var/lib/docker/containers', id))
  renameSync(join(root, 'run/hostext.decision'), join(root, 'decision'))
  t.match(showDifference(call()).lines.at(0), { colour: 'green', text: /^\+ override / })
})
