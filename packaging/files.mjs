import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { BUNDLES, codeDirectory, codeName } from './code/code.mjs'
import { writeManual } from './manual/manual.mjs'

/** Where hostext is, in every root file system. */
export const LIB = 'usr/lib/hostext'
/** The manual pages, in Markdown. */
export const MANUAL = 'docs/man'

/**
 * @typedef {object} Entry A file, a link or a directory of a root file system that has hostext.
 * @property {string} to Its path there, without the first slash.
 * @property {string} [from] The file that is copied.
 * @property {number} [mode] The mode of that file.
 * @property {string} [link] What the link has as its target.
 * @property {string} [onlyIn] A directory: where the root has none, it does not need the file.
 * @property {'licence'} [kind] Debian has licences elsewhere.
 */

/** The names in a directory, sorted; none if it is not there. */
export const names = (directory) => (existsSync(directory) ? readdirSync(directory).sort() : [])

/**
 * Everything that hostext installs, except for its runtime. Installation, packages and archives are all made
 * from this list. The stub is the last entry: once it is there, hostext takes part in the next boot.
 * @param {string} project The checkout.
 * @param {string} systemd Where systemd has its files: `usr/lib/systemd`; `lib/systemd` on a root whose
 *   `/usr` is not merged.
 * @returns {Entry[]}
 */
export function hostextFiles(project, systemd = 'usr/lib/systemd') {
  const at = (path) => join(project, path)
  const { version } = JSON.parse(readFileSync(at('package.json'), 'utf8'))
  const isUnit = (name) => /\.(?:service|path)$/.test(name)
  const steps = names(at('generators/steps'))
  const bundles = names(at('dist')).filter((name) => name.endsWith('.cjs'))
  return [
    ...bundles.map((name) => ({
      from: at(`dist/${name}`),
      to: `${LIB}/${name}`,
      // What starts them is not started itself.
      mode: BUNDLES.includes(name) ? 0o755 : 0o644,
    })),
    { from: at('dist/licenses.txt'), to: `${LIB}/licenses.txt`, mode: 0o644, kind: 'licence' },
    { from: at('LICENSE'), to: `${LIB}/LICENSE`, mode: 0o644, kind: 'licence' },
    // (Distributions that leave /usr/share/doc out have it, too.)
    { from: at('docs/hostext.schema.json'), to: `${LIB}/hostext.schema.json`, mode: 0o644 },
    // Not under the name that is read: it is all comments, which each boot would read byte by byte.
    { from: at('generators/hostext.conf'), to: `${LIB}/hostext.conf.example`, mode: 0o644 },
    ...steps
      .filter((name) => !isUnit(name))
      .map((name) => ({
        from: at(`generators/steps/${name}`),
        to: `${LIB}/${name}`,
        mode: name.endsWith('.sh') ? 0o644 : 0o755,
      })),
    { from: at('generators/command'), to: `${LIB}/command`, mode: 0o755 },
    { from: at('generators/packages/refuse'), to: `${LIB}/refuse`, mode: 0o755 },
    { from: at('generators/init-bottom'), to: `${LIB}/init-bottom`, mode: 0o755 },
    ...names(at('generators/dracut')).map((name) => ({
      from: at(`generators/dracut/${name}`),
      to: `usr/lib/dracut/modules.d/95hostext/${name}`,
      mode: name.endsWith('.sh') ? 0o755 : 0o644,
    })),
    ...[
      ['dpkg.cfg', 'etc/dpkg/dpkg.cfg.d'],
      ['apt.conf', 'etc/apt/apt.conf.d'],
    ].map(([name, directory]) => ({
      from: at(`generators/packages/${name}`),
      to: `${directory}/hostext`,
      mode: 0o644,
      onlyIn: dirname(directory),
    })),
    {
      from: at('generators/hostext.catalog'),
      to: 'usr/lib/systemd/catalog/hostext.catalog',
      mode: 0o644,
    },
    {
      from: at('generators/packages/tmpfiles.conf'),
      to: 'usr/lib/tmpfiles.d/hostext.conf',
      mode: 0o644,
    },
    ...[`${LIB}/nextroot`, `${LIB}/base`, 'etc/hostext.conf.d'].map((to) => ({ to })),
    ...writeManual(at(MANUAL), version, at('build/man')).map((page) => ({
      from: page,
      to: `usr/share/man/man${page.at(-1)}/${basename(page)}`,
      mode: 0o644,
    })),
    ...Object.entries(COMPLETION)
      .filter(([shell]) => names(at('dist/completion')).includes(shell))
      .map(([shell, to]) => ({ from: at(`dist/completion/${shell}`), to, mode: 0o644 })),
    ...steps.filter(isUnit).map((name) => ({
      from: at(`generators/steps/${name}`),
      to: `${systemd}/system/${name}`,
      mode: 0o644,
    })),
    {
      to: `${systemd}/system/multi-user.target.wants/hostext-prepare.path`,
      link: '../hostext-prepare.path',
    },
    { to: 'usr/bin/hostext', link: '../lib/hostext/command' },
    {
      from: at('generators/hostext-generator'),
      to: `${systemd}/system-generators/hostext-generator`,
      mode: 0o755,
    },
  ]
}

/** Where shells look for completions, by the file in dist/completion. */
const COMPLETION = {
  bash: 'usr/share/bash-completion/completions/hostext',
  zsh: 'usr/share/zsh/vendor-completions/_hostext',
  fish: 'usr/share/fish/vendor_completions.d/hostext.fish',
}

/**
 * What the runtime installs: also the compiled code of the bundles, which is for this runtime.
 * @param {string} runtime The directory that `build.mjs runtime` has made.
 * @param {string} project The checkout.
 * @returns {Entry[]}
 */
export function runtimeFiles(runtime, project) {
  const code = BUNDLES.map((name) => join(codeDirectory(runtime), codeName(join(project, 'dist', name))))
  return [
    ...code.filter(existsSync).map((path) => ({ from: path, to: `${LIB}/${basename(path)}`, mode: 0o644 })),
    { from: join(runtime, 'node'), to: `${LIB}/node`, mode: 0o755 },
    { from: join(runtime, 'LICENSE'), to: `${LIB}/LICENSE.node`, mode: 0o644, kind: 'licence' },
  ]
}

/**
 * Writes entries into a new directory tree, for a package or an archive. `time`: seconds since 1970, of
 * everything in it.
 * @param {Entry[]} entries
 * @param {string} tree
 * @param {number} time
 */
export function stage(entries, tree) {
  for (const { from, to, mode, link } of entries) {
    const path = join(tree, to)
    mkdirSync(from || link ? dirname(path) : path, { recursive: true })
    if (link) symlinkSync(link, path)
    if (!from) continue
    copyFileSync(from, path)
    chmodSync(path, mode)
  }
}
