// Which of Node's built-in modules the runtime keeps. Everything about that is in this file.

/**
 * The modules that the program uses. The tests compare them with src/ and with the bundle: whoever imports
 * another one adds it here.
 */
export const USED = ['child_process', 'crypto', 'events', 'fs', 'path', 'path/posix', 'tty', 'vm', 'zlib']

/** What Node itself starts with: for a script, for `-p`, and on the way to the report of an error. */
const START = [
  /^internal\/per_context\//,
  /^internal\/bootstrap\//,
  /^internal\/main\/(?:run_main_module|eval_string)$/,
]

/**
 * What the modules above can load later, but do not unless a program asks for it: whole subsystems, by the
 * beginnings of their names. What only these load goes with them.
 */
const NOT_USED = [
  // TypeScript, fetch(), the REPL's and the assertions' parser, glob(), the profiler.
  'internal/deps/amaro/',
  'internal/deps/undici/',
  'internal/deps/acorn/',
  'internal/deps/minimatch/',
  'internal/deps/v8/',
  // Protocols and servers.
  'http2',
  'internal/http2/',
  'internal/quic/',
  'http',
  '_http_',
  'tls',
  '_tls_',
  'internal/tls/',
  'cluster',
  'internal/cluster/',
  // Streams of the web, and the new iterable ones.
  'stream/web',
  'internal/webstreams/',
  'stream/iter',
  'internal/streams/iter/',
  'internal/crypto/webcrypto',
  // Development.
  'repl',
  'internal/repl/',
  'internal/debugger/',
  'inspector',
  'internal/inspector/',
  'test',
  'internal/test/',
  'internal/test_runner/',
  'internal/watch_mode/',
  // Programs in programs.
  'worker_threads',
  'internal/main/worker_thread',
  'wasi',
  'sqlite',
]

/**
 * The names of the built-in modules to keep: those that are used or start Node, and what they load, all the
 * way down. What a module loads at once, it needs; what it may load later is kept unless it is of a subsystem
 * that is not used.
 * @param {Record<string, string>} texts the JavaScript of all built-in modules, by name
 * @returns {Set<string>}
 */
export function keptBuiltins(texts) {
  const missing = USED.filter((name) => !(name in texts))
  if (missing.length > 0) throw new Error(`it has no built-in module ${missing.join(', ')}`)
  const kept = new Set()
  const waiting = [
    ...USED,
    ...Object.keys(texts).filter((name) => START.some((pattern) => pattern.test(name))),
  ]
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (kept.has(name)) continue
    kept.add(name)
    const later = loadedLater(texts[name]).filter(
      (other) => !NOT_USED.some((beginning) => other.startsWith(beginning)),
    )
    waiting.push(...[...loadedAtOnce(texts[name]), ...later].filter((other) => other in texts))
  }
  return kept
}

/**
 * The modules that a text requires outside functions: in a statement whose first or last line is not
 * indented.
 */
function loadedAtOnce(text) {
  return [
    ...text.matchAll(
      /^(?:(?:const|let|var|\}|module\.exports) ?[^=\n]*= )?require\(\s*'(?:node:)?([^']+)'/gm,
    ),
  ].map(([, name]) => name)
}

/**
 * The modules that a text may load in any way: what it requires, and names of internal modules in any other
 * place, as they are given to helpers that load them at first use.
 */
function loadedLater(text) {
  return [...text.matchAll(/\brequire\(\s*(['"])(?:node:)?([^'"]+)\1|(['"])(internal\/[^'"]+)\3/g)].map(
    ([, , required, , named]) => required ?? named,
  )
}
