import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { codeDirectory, codeName, emulator } from '../../../packaging/code/code.mjs'
import { readBuiltins } from '../../../packaging/runtime/builtin-texts.mjs'
import { keptBuiltins, USED } from '../../../packaging/runtime/builtins.mjs'
import { findFaults, MOST_HEADERS } from '../../../packaging/runtime/checks.mjs'
import { readElf } from '../../../packaging/runtime/elf.mjs'
import { neededLibraries } from '../../../packaging/runtime/libraries.mjs'
import { TARGETS, trimNode } from '../../../packaging/runtime/trim.mjs'
import { RUNTIME_FLAGS } from '../../../src/units/trial.js'
import { BUNDLE, COMMANDS_BUNDLE, DATA_ROOTS, PROJECT } from '../../support/paths.js'
import { cannotFetch, officialNode, runtimeDirectory, TESTED } from '../../support/runtime.js'
import { copyTree, makeTree } from '../../support/tree.js'

const NOT_HERE = 'this built-in module is not in the runtime of hostext'
/** What the trimmed runtime can do, and the minimal one cannot, which is without ICU and OpenSSL. */
const TRIMMED_ONLY = `
      same(require('node:crypto').randomBytes(8).length, 8)
      same('é'.normalize('NFD').length, 2)
      same(/^\\p{L}+$/u.test('Ünï'), true)`
/** What the minimal runtime lacks because of a library that it is compiled without: SQLite, amaro. */
const NOT_COMPILED = ['internal/webstorage', 'internal/deps/amaro/dist/index']
/** Nothing of the test runner, and no colours. */
const env = { PATH: process.env.PATH, HOME: '/nonexistent' }

t.test('both architectures', { skip: cannotFetch ?? false }, async (t) => {
  const texts = readBuiltins(officialNode(process.arch))
  for (const arch of ['x64', 'arm64'] as const) {
    const directory = runtimeDirectory(arch)
    const names = readdirSync(directory).sort()
    t.same(
      names.filter((name) => !name.startsWith('code-')),
      ['LICENSE', 'libraries.txt', 'node'],
      arch,
    )
    for (const bundle of [BUNDLE, COMMANDS_BUNDLE]) {
      const isThere = existsSync(join(codeDirectory(directory), codeName(bundle)))
      t.equal(isThere, emulator(arch) !== undefined, `${arch}: ${bundle}`)
    }
    const node = readFileSync(join(directory, 'node'))
    const official = readFileSync(officialNode(arch))
    t.ok(trimNode(official, texts, arch).equals(node), `${arch}: made once more, it has the same bytes`)
    t.same(findFaults(node, TARGETS[arch]), [])
    t.ok(node.length <= { x64: 57, arm64: 54 }[arch] * 2 ** 20, `${arch}: ${node.length} bytes`)
    t.ok(readElf(node).segments.length <= MOST_HEADERS)
    t.same(neededLibraries(readElf(node)), neededLibraries(readElf(official)), `${arch}: the same libraries`)
    t.equal(
      readFileSync(join(directory, 'libraries.txt'), 'utf8'),
      `${neededLibraries(readElf(node)).join('\n')}\n`,
    )
  }
  const x64 = readFileSync(officialNode('x64'))
  t.throws(() => trimNode(x64, { ...texts, fs: 'a text that no version of Node has' }, 'x64'), {
    message: 'the text of fs is not in it',
  })
  t.throws(() => trimNode(x64, { ...texts, fs: 'changed' }, 'x64'), {
    message: 'it has code for 387 built-in modules, not 388',
  })
})

t.test('what is installed is small', { skip: cannotFetch ?? false }, async (t) => {
  // For the architecture that is not this machine's: that runtime is not tried in the new root.
  const arch = process.arch === 'arm64' ? 'x64' : 'arm64'
  const root = makeTree(t, { 'usr/lib/systemd/system/x': '' })
  const words = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    'build.mjs',
    'install',
    '--destdir',
    root,
    '--arch',
    arch,
  ]
  execFileSync('env', words, { cwd: PROJECT, stdio: ['ignore', 'ignore', 'pipe'] })
  const kibibytes = Number(execFileSync('du', ['-sk', root], { encoding: 'utf8' }).split('\t')[0])
  const node = (arch: string): number => statSync(join(runtimeDirectory(arch), 'node')).size / 1024
  t.ok(kibibytes > node(arch), 'the runtime is part of it')
  for (const each of ['x64', 'arm64']) {
    const size = kibibytes - node(arch) + node(each)
    t.ok(size <= 60 * 1024, `${each}: ${Math.round(size)} KiB`)
  }
})

const cannotRun =
  cannotFetch ?? (process.arch in TARGETS ? undefined : `there is no runtime for ${process.arch}`)

t.test('on this machine', { skip: cannotRun ?? false }, async (t) => {
  const official = officialNode(process.arch)
  const ours = join(runtimeDirectory(process.arch, TESTED), 'node')
  const isMinimal = TESTED.length > 0
  const kept = keptBuiltins(readBuiltins(official))

  t.test('what the program uses works', async (t) => {
    const script = `
      const { deepStrictEqual: same } = require('node:assert')
      for (const name of ${JSON.stringify(USED)}) same(typeof require('node:' + name), name === 'events' ? 'function' : 'object')
      const { gunzipSync, gzipSync, constants, zstdCompressSync, zstdDecompressSync } = require('node:zlib')
      same(gunzipSync(gzipSync('text')).toString(), 'text')
      const { createHash } = require('node:crypto')
      same(createHash('sha256').update('').digest('hex').slice(0, 8), 'e3b0c442')
      const { execFileSync, spawn, spawnSync } = require('node:child_process')
      same(execFileSync('echo', ['text'], { encoding: 'utf8' }), 'text\\n')
      same(spawnSync('sh', ['-c', 'exit 3']).status, 3)
      ${isMinimal ? '' : TRIMMED_ONLY}
      same(new TextDecoder().decode(Buffer.from('é')), 'é')
      const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] })
      child.stdout.on('data', (data) => process.stdout.write(data))
      child.on('close', (status) => console.log('ended with', status))
      child.stdin.end('through a pipe\\n')`
    for (const flags of [RUNTIME_FLAGS, []]) {
      const { status, stdout, stderr } = spawnSync(ours, [...flags, '-e', script], {
        env,
        encoding: 'utf8',
      })
      t.same({ status, stdout, stderr }, { status: 0, stdout: 'through a pipe\nended with 0\n', stderr: '' })
    }
  })

  t.test('a kept module loads as it does in the official build; another one is an exception', async (t) => {
    const script = (names: string[]) => `
      const found = {}
      for (const name of ${JSON.stringify(names)})
        try { require(name); found[name] = 'loads' } catch (error) { found[name] = error.message }
      require('fs').writeSync(1, JSON.stringify(found))`
    const load = (node: string, names: string[], flags: string[]): Record<string, string> =>
      JSON.parse(
        execFileSync(node, ['--expose-internals', '--no-warnings', ...flags, '-e', script(names)], {
          env,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }),
      )
    const all = Object.keys(readBuiltins(official))
    // Not those that start Node, nor the profiler's modules of ECMAScript: require() aborts there.
    const names = all.filter((name) => !/^internal\/(?:bootstrap|main|per_context|deps\/v8)\//.test(name))
    const loadable = Object.entries(load(official, names, []))
      .filter(([, found]) => found === 'loads')
      .map(([name]) => name)
    t.ok(loadable.length > 200, `${loadable.length} modules can be loaded`)
    const lacks = (name: string): boolean =>
      isMinimal && (name.startsWith('internal/crypto/') || NOT_COMPILED.includes(name))
    for (const flags of [RUNTIME_FLAGS, []]) {
      const found = load(ours, loadable, flags)
      t.same(
        loadable.filter((name) => kept.has(name) && !lacks(name) && found[name] !== 'loads'),
        [],
        'what is kept needs nothing that is gone',
      )
      const gone = loadable.filter((name) => found[name] !== 'loads')
      t.ok(gone.length > 50, `${gone.length} modules are gone`)
      const others = isMinimal ? NOT_COMPILED : []
      const messages = gone.filter((name) => !others.includes(name)).map((name) => found[name])
      t.same(new Set(messages), new Set([NOT_HERE]))
      for (const name of ['http', 'http2', 'tls', 'inspector', 'repl']) t.ok(gone.includes(name), name)
    }
  })

  t.test('no bundle names a global object whose module is gone', async (t) => {
    const script = `
      const gone = Object.getOwnPropertyNames(globalThis).filter((name) => {
        try { globalThis[name] } catch { return true }
      })
      require('fs').writeSync(1, gone.join(' '))`
    // (With -e, the names of modules would be global.)
    const file = join(makeTree(t, { 'script.js': script }), 'script.js')
    const gone = execFileSync(ours, [...RUNTIME_FLAGS, file], { env, encoding: 'utf8' }).split(' ')
    t.ok(gone.includes('performance'), 'they are found')
    for (const bundle of [BUNDLE, COMMANDS_BUNDLE, join(PROJECT, 'dist/images.cjs')])
      t.notMatch(readFileSync(bundle, 'utf8'), new RegExp(`\\b(?:${gone.join('|')})\\b`), bundle)
  })

  t.test('whatever starts, all of its modules are kept', async (t) => {
    const root = makeTree(t, {
      'proc/cmdline': 'root=/dev/vda ro\n',
      'normal/x': '',
      'early/x': '',
      'late/x': '',
    })
    copyTree(join(DATA_ROOTS, 'standard'), join(root, 'var/lib/docker'))
    const outputs = ['normal', 'early', 'late'].map((name) => join(root, name))
    const program = (words: string[]): string => `
      process.argv = [process.execPath, ...${JSON.stringify([BUNDLE, ...words])}]
      require(${JSON.stringify(BUNDLE)})`
    const scripts = {
      'an empty script': '',
      output: 'console.log(1); console.error(2); process.stdout.write("3")',
      'an Error': 'throw new Error("words")',
      'something else': 'throw { some: "thing" }',
      rejection: 'Promise.reject(new Error("words"))',
      'a warning': 'process.emitWarning("words")',
      'a deep stack': 'try { (function f() { f() })() } catch (error) { console.log(error.message) }',
      generator: program(outputs),
      ...Object.fromEntries(
        ['--version', 'help', 'status', 'plan', 'prepare', 'changes', 'rollback'].map((verb) => [
          verb,
          program([verb]),
        ]),
      ),
    }
    for (const [name, script] of Object.entries(scripts)) {
      const reported = `process.on('exit', () => require('fs').writeSync(3, JSON.stringify(process.moduleLoadList)));${script}`
      for (const flags of [RUNTIME_FLAGS, []]) {
        const { output } = spawnSync(official, [...flags, '-e', reported], {
          env: { ...env, HOSTEXT_ROOT: root },
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        })
        const loaded = (JSON.parse(output[3] ?? '') as string[])
          .filter((line) => line.startsWith('NativeModule '))
          .map((line) => line.replace('NativeModule ', ''))
        t.ok(loaded.length > 50, `${name}: ${loaded.length} modules`)
        t.same(
          loaded.filter((module) => !kept.has(module)),
          [],
          name,
        )
      }
    }
  })

  t.test('errors are what they are in the official build', async (t) => {
    const work = makeTree(t, {
      'syntax.js': 'const one = 1\nconst = two\n',
      'error.js': 'function inner() { throw new TypeError("words", { cause: 7 }) }\n\ninner()\n',
      'other.js': 'throw { some: "thing" }\n',
      'rejection.js': 'async function inner() { throw new Error("words") }\ninner()\n',
      'rejection-other.js': 'Promise.reject(7)\n',
      'status.js': 'process.exitCode = 7\nconsole.log("output")\n',
      'memory.js': 'const all = []\nfor (;;) all.push(new Array(1000).fill(all.length))\n',
      'deep.js': 'function deeper() { return deeper() + 1 }\ndeeper()\n',
      'caught.js':
        'function deeper() { return deeper() + 1 }\ntry { deeper() } catch (error) { console.log(String(error)) }\n',
      'pipe.js':
        'process.stdout.write("nobody reads this")\nsetTimeout(() => console.error("never"), 5000)\n',
      'waits.js': 'console.log("ready")\nsetInterval(() => {}, 1000)\n',
      'listens.js':
        'process.on("SIGTERM", () => process.exit(9))\nconsole.log("ready")\nsetInterval(() => {}, 1000)\n',
      'assertion.js': 'require("node:assert").strictEqual(1, 2)\n',
      'missing-module.js': 'require("./absent.js")\n',
      'system.js': 'require("node:fs").readFileSync("/absent")\n',
      'big.js': 'Buffer.alloc(2 ** 60)\n',
    })
    const inWork = { cwd: work, env, encoding: 'utf8' as const }
    /** What is the same each time: no path of the runtime, no addresses, no times; no native frames. */
    const lines = (text: string, node: string): string[] =>
      (text.split('----- Native stack trace -----')[0] as string)
        .replaceAll(node, 'node')
        .replaceAll(/\[\d+:0x[0-9a-f]+\]|0x[0-9a-f]+|\d+(?:\.\d+)?/g, '#')
        .split('\n')
    type Outcome = { status: number | null; signal: string | null; stdout: string; stderr: string[] }
    const run = (node: string, words: string[]): Outcome => {
      const { status, signal, stdout, stderr } = spawnSync(node, words, inWork)
      return { status, signal, stdout, stderr: lines(stderr, node) }
    }
    const unread = (node: string, words: string[]): Outcome => {
      const script = '{ sleep 0.1; "$@"; echo "status $?" >&2; } | true'
      const { stderr } = spawnSync('sh', ['-c', script, 'sh', node, ...words], inWork)
      return { status: null, signal: null, stdout: '', stderr: lines(stderr, node) }
    }
    const signalled = async (node: string, words: string[], signal: NodeJS.Signals): Promise<Outcome> => {
      const child = spawn(node, words, { ...inWork, stdio: ['ignore', 'pipe', 'pipe'] })
      let stderr = ''
      child.stderr.on('data', (data) => {
        stderr += data
      })
      await once(child.stdout, 'data')
      child.kill(signal)
      const [status, by] = (await once(child, 'close')) as [number | null, string | null]
      return { status, signal: by, stdout: '', stderr: lines(stderr, node) }
    }
    const scenarios: Record<string, (node: string, flags: string[]) => Outcome | Promise<Outcome>> = {
      'an uncaught Error': (node, flags) => run(node, [...flags, 'error.js']),
      'uncaught, not an Error': (node, flags) => run(node, [...flags, 'other.js']),
      'an unhandled rejection': (node, flags) => run(node, [...flags, 'rejection.js']),
      'an unhandled rejection, not an Error': (node, flags) => run(node, [...flags, 'rejection-other.js']),
      'an exit status': (node, flags) => run(node, [...flags, 'status.js']),
      'a stack that overflows': (node, flags) => run(node, [...flags, 'deep.js']),
      'a stack that overflows, caught': (node, flags) => run(node, [...flags, 'caught.js']),
      'no such script': (node, flags) => run(node, [...flags, 'absent.js']),
      'no such module': (node, flags) => run(node, [...flags, 'missing-module.js']),
      'a syntax error': (node, flags) => run(node, [...flags, 'syntax.js']),
      'an error of the system': (node, flags) => run(node, [...flags, 'system.js']),
      'a failed assertion': (node, flags) => run(node, [...flags, 'assertion.js']),
      'a buffer that is too large': (node, flags) => run(node, [...flags, 'big.js']),
      '-p': (node, flags) => run(node, [...flags, '-p', '1']),
      // Otherwise Node tries whether it is TypeScript, with a module that is gone.
      '-p with a syntax error': (node, flags) => run(node, [...flags, '--no-strip-types', '-p', 'const =']),
      '--version': (node, flags) => run(node, [...flags, '--version']),
      'an unknown option': (node, flags) => run(node, [...flags, '--no-such-option']),
      'output that nobody reads': (node, flags) => unread(node, [...flags, 'pipe.js']),
      SIGTERM: (node, flags) => signalled(node, [...flags, 'waits.js'], 'SIGTERM'),
      SIGINT: (node, flags) => signalled(node, [...flags, 'waits.js'], 'SIGINT'),
      SIGSEGV: (node, flags) => signalled(node, [...flags, 'waits.js'], 'SIGSEGV'),
      SIGKILL: (node, flags) => signalled(node, [...flags, 'waits.js'], 'SIGKILL'),
      'a signal that the script handles': (node, flags) =>
        signalled(node, [...flags, 'listens.js'], 'SIGTERM'),
    }
    for (const flags of [RUNTIME_FLAGS, []]) {
      const how = flags.length > 0 ? 'with our flags' : 'without flags'
      for (const [name, scenario] of Object.entries(scenarios)) {
        const wanted = await scenario(official, flags)
        t.same(await scenario(ours, flags), wanted, `${name}, ${how}`)
      }
      // How far the collector gets is another matter each time, and why it gives up.
      const memory = (node: string): unknown => {
        const { status, signal, stderr } = run(node, ['--max-old-space-size=20', ...flags, 'memory.js'])
        const fatal = stderr.find((line) => line.startsWith('FATAL ERROR')) ?? ''
        return { status, signal, isOutOfMemory: fatal.endsWith('JavaScript heap out of memory') }
      }
      const ended = { status: null, signal: 'SIGABRT', isOutOfMemory: true }
      t.same(memory(official), ended, `out of memory in the official build, ${how}`)
      t.same(memory(ours), ended, `out of memory, ${how}`)
    }
    // The scenarios are what they say.
    t.match(run(ours, ['error.js']).stderr.join('\n'), /TypeError: words\n +at inner/)
    t.match(unread(ours, ['pipe.js']).stderr.join('\n'), /EPIPE(?:.|\n)*\nstatus #/)
    t.match(await signalled(ours, ['waits.js'], 'SIGSEGV'), { status: null, signal: 'SIGSEGV' })
  })
})
