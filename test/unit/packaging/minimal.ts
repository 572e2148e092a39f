import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { dependsOf } from '../../../packaging/debian/depends.mjs'
import { dropBuiltins } from '../../../packaging/minimal/drop-builtins.mjs'
import { buildMinimal, MOST } from '../../../packaging/minimal/minimal.mjs'
import { USED } from '../../../packaging/runtime/builtins.mjs'
import { findFaults } from '../../../packaging/runtime/checks.mjs'
import { readElf } from '../../../packaging/runtime/elf.mjs'
import { neededLibraries } from '../../../packaging/runtime/libraries.mjs'
import { TARGETS } from '../../../packaging/runtime/trim.mjs'
import { RUNTIME_FLAGS } from '../../../src/units/trial.js'
import { runtimeDirectory, TESTED } from '../../support/runtime.js'
import { makeTree } from '../../support/tree.js'

const GONE = /^throw new Error\('this built-in module is not in the runtime of hostext'\)\n/

t.test('the JavaScript that is compiled in', async (t) => {
  const used = Object.fromEntries(USED.map((name) => [`lib/${name}.js`, `// ${name}`]))
  const tree = makeTree(t, {
    ...used,
    'lib/fs.js': `const util = require('internal/util');\nfunction late() { require('http') }`,
    'lib/crypto.js': `function late() { require('internal/crypto/random') }`,
    'lib/internal/util.js': '// util',
    'lib/http.js': '// http',
    'lib/internal/crypto/random.js': '// random',
  })
  dropBuiltins(tree)
  const text = (path: string): string => readFileSync(join(tree, path), 'utf8')
  for (const name of USED) t.notMatch(text(`lib/${name}.js`), GONE, name)
  t.equal(text('lib/internal/util.js'), '// util', 'what a module loads at once is kept')
  for (const path of ['lib/http.js', 'lib/internal/crypto/random.js', 'deps/undici/undici.js'])
    t.match(text(path), GONE, path)
})

t.test('another architecture', async (t) => {
  const other = process.arch === 'arm64' ? 'x64' : 'arm64'
  t.throws(() => buildMinimal('/nonexistent/work', '/nonexistent/out', other), {
    message: `a minimal runtime for ${other} can only be made on ${other}`,
  })
})

// No part of a usual run, in CI neither: it takes a quarter of an hour to compile it, unless it is there.
if (TESTED.length > 0)
  t.test('the minimal runtime', async (t) => {
    const directory = runtimeDirectory(process.arch, TESTED)
    const node = join(directory, 'node')
    const bytes = readFileSync(node)

    t.test('the file', async (t) => {
      const names = readdirSync(directory).filter((name) => !name.startsWith('code-'))
      t.same(names.sort(), ['LICENSE', 'libraries.txt', 'node'])
      t.equal(MOST, 24 * 2 ** 20)
      const { page } = TARGETS[process.arch as keyof typeof TARGETS]
      t.same(findFaults(bytes, { page, size: MOST }), [])
      t.match(findFaults(bytes, { page, size: bytes.length - 1 }), [/ bytes, more than /])
    })

    t.test('it needs glibc 2.36, the one of Debian 12, and nothing else', async (t) => {
      const libraries = readFileSync(join(directory, 'libraries.txt'), 'utf8').trim().split('\n')
      t.same(libraries, neededLibraries(readElf(bytes)))
      t.same(
        libraries.filter((name) => !/^(?:lib(?:c|m|dl|pthread)\.so\.\d+|ld-linux-.*)$/.test(name)),
        [],
      )
      const [, release] = /^libc6 \(>= 2\.(\d+)\)$/.exec(dependsOf(readElf(bytes))) ?? []
      t.ok(Number(release) <= 36, `glibc 2.${release}`)
    })

    t.test('no path of the machine where it was made', async (t) => {
      for (const path of [join(import.meta.dirname, '../../..'), '/root/', '/home/', '/tmp/hostext'])
        t.notOk(bytes.includes(path), path)
    })

    t.test('createHash() of node:crypto, all that there is of it', async (t) => {
      const large = Buffer.alloc(300_001, 'hostext')
      const script = `
      const { createHash, ...others } = require('node:crypto')
      const same = require('node:assert').deepStrictEqual
      same(others, {})
      const hash = (...parts) => parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex')
      const large = Buffer.alloc(300001, 'hostext')
      const view = new DataView(large.buffer, large.byteOffset + 1, 77)
      const messages = []
      const first = createHash('sha256')
      first.digest()
      for (const wrong of [
        () => first.update(''), () => first.digest(), () => createHash('md5'), () => createHash('sha256').update(1),
        () => createHash('sha256').update()
      ])
        try { wrong(); messages.push('none') } catch (error) { messages.push(error.name + ' ' + error.message.split('.')[0]) }
      console.log(JSON.stringify({
        hashes: [hash(), hash(''), hash('é'), hash(large), hash(large.subarray(0, 64), large.subarray(64), 'x'), hash(view)],
        encodings: [createHash('sha256').update('c3a9', 'hex').digest('base64'), createHash('sha256').digest().length],
        messages,
      }))`
      const hash = (bytes: string | Buffer | Uint8Array): string =>
        createHash('sha256').update(bytes).digest('hex')
      for (const flags of [RUNTIME_FLAGS, []])
        t.same(JSON.parse(execFileSync(node, [...flags, '-e', script], { env: {}, encoding: 'utf8' })), {
          hashes: [
            hash(''),
            hash(''),
            hash('é'),
            hash(large),
            hash(Buffer.concat([large, Buffer.from('x')])),
            hash(large.subarray(1, 78)),
          ],
          encodings: [createHash('sha256').update('é').digest('base64'), 32],
          messages: [
            'Error Digest already called',
            'Error Digest already called',
            'Error the runtime of hostext has SHA-256 only, not md5',
            'TypeError The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView',
            'TypeError The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView',
          ],
        })
    })

    t.test('V8 without compilers, whatever the flags', async (t) => {
      const script = 'console.log(process.config.variables.v8_enable_lite_mode, typeof WebAssembly)'
      for (const flags of [RUNTIME_FLAGS, []]) {
        const { status, stdout, stderr } = spawnSync(node, [...flags, '-e', script], {
          env: {},
          encoding: 'utf8',
        })
        t.same({ status, stdout, stderr }, { status: 0, stdout: '1 undefined\n', stderr: '' })
      }
    })
  })
