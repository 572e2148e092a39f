import t from 'tap'
import type { Container, HostConfig } from '../../../src/engine/engine.js'
import { findUnmeant } from '../../../src/image/meant.js'

const why = (change: Partial<Container>, host: Partial<HostConfig> = {}) =>
  findUnmeant(
    { start: 'never', isBuildStep: false, image: 'wifi:2', ...change },
    { runtime: 'runc', isTemporary: false, isUnlogged: false, ...host },
  )
const RULE = 'but an extension must be created and never started, unless hostext.conf has Started=yes'

t.test('created and never started', async (t) => t.equal(why({}), undefined))

t.test('what running, building or trying leaves behind was not meant', async (t) => {
  t.equal(why({ start: 'done' }), `it has been started, ${RULE}`)
  t.equal(why({ start: 'tried' }), `an attempt to start it failed, ${RULE}`)
  t.equal(why({ isBuildStep: true }), `it is a step of an image build, ${RULE}`)
  const image = `sha256:${'0'.repeat(64)}`
  t.equal(
    why({ image }, { isUnlogged: true }),
    'it looks like a step of an image build: it was created from an image ID, with the log driver none; if it is an extension, create it again from the name of the image',
  )
  t.equal(why({ image }), undefined, 'created from an image by its ID')
  t.equal(why({}, { isUnlogged: true }), undefined, 'created with --log-driver=none')
  t.equal(why({}, { isTemporary: true }), `it was created to be run once (--rm), ${RULE}`)
})

t.test('the runtime of balenaOS runs nothing: who asked for it meant it', async (t) => {
  t.equal(why({ start: 'done' }, { runtime: 'extension' }), undefined)
  t.equal(why({ start: 'done' }, { runtime: 'extension2' }), `it has been started, ${RULE}`)
  t.equal(why({ start: 'done' }, { runtime: undefined }), `it has been started, ${RULE}`)
})
