// What the official builds of Node consist of, as far as it is code or data of others: for the bill of
// materials.

/**
 * A part with a version in process.versions, by its name there, and its licence: an SPDX expression, or
 * `public domain`.
 * Undefined: the version of an interface, and not of a part.
 * @type {Record<string, string | undefined>}
 */
export const VERSIONED = {
  acorn: 'MIT',
  ada: 'MIT',
  amaro: 'MIT',
  ares: 'MIT',
  brotli: 'MIT',
  cldr: 'Unicode-3.0',
  icu: 'Unicode-3.0',
  llhttp: 'MIT',
  merve: 'MIT',
  modules: undefined,
  napi: undefined,
  nbytes: 'MIT',
  ncrypto: 'MIT',
  nghttp2: 'MIT',
  nghttp3: 'MIT',
  ngtcp2: 'MIT',
  openssl: 'Apache-2.0',
  simdjson: 'Apache-2.0',
  simdutf: 'MIT',
  sqlite: 'blessing',
  tz: 'public domain',
  undici: 'MIT',
  unicode: 'Unicode-3.0',
  uv: 'MIT',
  uvwasi: 'MIT',
  v8: 'BSD-3-Clause',
  zlib: 'Zlib',
  zstd: 'BSD-3-Clause',
}

/** A part without a version, by its name in Node's LICENSE, and its licence there. */
export const NAMED = {
  swc: 'Apache-2.0',
  ittapi: 'BSD-3-Clause',
  LIEF: 'Apache-2.0',
  'Punycode.js': 'MIT',
  SipHash: 'CC0-1.0',
  minimatch: 'BlueOak-1.0.0',
  inspector_protocol: 'BSD-3-Clause',
  large_pages: 'MIT',
  caja: 'Apache-2.0',
  HdrHistogram: 'BSD-2-Clause OR CC0-1.0',
  'node-heapdump': 'ISC',
  rimraf: 'ISC',
  'node-fs-extra': 'MIT',
  'on-exit-leak-free': 'MIT',
  'sonic-boom': 'MIT',
}

/** What LICENSE names as well, by its place: nothing of it is in the program `node`. */
export const NOT_IN_NODE = [
  'deps/corepack',
  'deps/googletest',
  'deps/npm',
  'test/fixtures/postject-copy',
  'tools/cpplint.py',
  'tools/gyp',
  'tools/gypi_to_gn.py',
  'tools/inspector_protocol/jinja2',
  'tools/inspector_protocol/markupsafe',
]

/** What LICENSE calls a part of process.versions, where it has another name. */
export const OTHER_NAMES = { 'c-ares': 'ares', libuv: 'uv' }
