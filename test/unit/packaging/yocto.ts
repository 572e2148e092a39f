import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hostextFiles, stage } from '../../../packaging/files.mjs'
import { OFFICIAL } from '../../../packaging/runtime/official.mjs'
import { PROJECT } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

// BitBake is in no package of Debian or npm. So this reads the files of the layer as far as they go, and runs
// their shell functions.
const LAYER = join(PROJECT, 'packaging/yocto')
const RECIPES = join(LAYER, 'recipes-core/hostext')

type Recipe = { variables: Map<string, string>; functions: Map<string, string>; others: string[] }

/**
 * Reads the syntax that the layer uses: assignments, functions, directives. Throws an Error for other lines.
 */
function read(path: string): Recipe {
  const recipe: Recipe = { variables: new Map(), functions: new Map(), others: [] }
  const text = readFileSync(path, 'utf8').replaceAll(/\\\n/g, ' ')
  const rest = text
    .replaceAll(/^(?:def) (\w+)\(.*\):\n((?:[ \t]+.*\n)+)/gm, (_, name, body) => {
      recipe.functions.set(name, body)
      return ''
    })
    .replaceAll(/^(\w+)\(\) \{\n([\s\S]*?)^\}\n/gm, (_, name, body) => {
      recipe.functions.set(name, body)
      return ''
    })
  for (const line of rest.split('\n')) {
    const [, name, operator, value] =
      /^([A-Z]\w*(?:[:[][\w${}:-]+\]?)*) (\?\??=|:?=|\+=|\.=) "([^"]*)"$/.exec(line) ??
      /^(\w+\[noexec\]) (=) "([^"]*)"$/.exec(line) ??
      []
    if (name !== undefined && value !== undefined) {
      const plain = name.replace(/\$\{PN\}/, 'PN')
      const before = operator === '+=' || operator === '.=' ? (recipe.variables.get(plain) ?? '') : ''
      recipe.variables.set(plain, `${before} ${value}`.trim())
    } else if (/^(?:inherit|require) \S/.test(line)) recipe.others.push(line)
    else if (line !== '' && !line.startsWith('#')) throw new Error(`${path}: ${line}`)
  }
  return recipe
}

/** A value with what it refers to. Throws an Error for what is not known. */
function expand(value: string, variables: Record<string, string>): string {
  return value.replaceAll(/\$\{(\w+)\}/g, (_, name) => {
    const known = variables[name]
    if (known === undefined) throw new Error(`nothing has set ${name}`)
    return known
  })
}

const layer = read(join(LAYER, 'conf/layer.conf'))
const hostext = read(join(RECIPES, 'hostext.bb'))
const runtime = read(join(RECIPES, 'hostext-runtime.bb'))

t.test('the layer', async (t) => {
  const checkout = expand(layer.variables.get('HOSTEXT_CHECKOUT') ?? '', { LAYERDIR: LAYER })
  t.ok(existsSync(join(checkout, 'package.json')), 'it finds the version')
  t.match(hostext.functions.get('hostext_version'), "/package.json'")
  t.equal(layer.variables.get('HOSTEXT_NODEJS'), OFFICIAL.version)
  t.match(layer.variables.get('LAYERDEPENDS_hostext'), /openembedded-layer/)
  t.same(readdirSync(RECIPES).sort(), ['hostext-runtime.bb', 'hostext.bb'])
  t.match(hostext.variables.get('RDEPENDS:PN'), /\bhostext-runtime\b/)
  t.match(runtime.others[0], /^require recipes-devtools\/nodejs\/nodejs_\$\{HOSTEXT_NODEJS\}\.bb$/)
})

t.test('the licence', async (t) => {
  const [, file = '', md5 = ''] =
    /^file:\/\/(.*);md5=([0-9a-f]{32})$/.exec(hostext.variables.get('LIC_FILES_CHKSUM') ?? '') ?? []
  t.ok(
    hostextFiles(PROJECT).some(({ to }) => to === file),
    'the archive has it',
  )
  const license = readFileSync(join(PROJECT, 'LICENSE'))
  t.equal(createHash('md5').update(license).digest('hex'), md5)
})

t.test('what the recipes install', async (t) => {
  const work = makeTree(t)
  const [source, target, build] = ['source', 'target', 'build'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ]
  for (const directory of [target, join(build, 'out/Release')]) mkdirSync(directory, { recursive: true })
  stage(hostextFiles(PROJECT), source)
  execFileSync('sh', ['-c', 'echo node >"$0"', join(build, 'out/Release/node')])
  const install = (recipe: Recipe, type: string): void => {
    const script = expand(recipe.functions.get('do_install') ?? '', {
      S: source,
      D: target,
      B: build,
      IMAGE_PKGTYPE: type,
    })
    // Nothing here runs as root for sure; BitBake runs it as if it did.
    execFileSync('sh', ['-euc', `chown() { true; }\n${script}`])
  }
  install(hostext, 'deb')
  install(runtime, 'deb')
  const list = () =>
    execFileSync('find', ['.', '!', '-type', 'd', '-printf', '%P\n'], { cwd: target, encoding: 'utf8' })
      .trim()
      .split('\n')
  const entries = hostextFiles(PROJECT).filter(({ to }) => !to.startsWith('usr/lib/dracut/'))
  const wanted = entries.filter(({ from, link }) => from || link)
  t.same(list().sort(), [...wanted.map(({ to }) => to), 'usr/lib/hostext/node'].sort())
  for (const { to } of entries) t.ok(existsSync(join(target, to)) || to.includes('.wants/'), to)

  // A file that no package has fails the build.
  const packaged = `${hostext.variables.get('FILES:PN')} /usr/share/man`.split(/\s+/).filter(Boolean)
  const isPackaged = (path: string) => packaged.some((each) => `/${path}/`.startsWith(`${each}/`))
  for (const path of list()) t.ok(isPackaged(path), `${path} is in a package`)

  // file-rdeps, which fails the build: whatever starts a script has to be asked for. All have a sh.
  for (const { from = '', to } of entries) {
    const [, interpreter] = (from && /^#!\s*(\S+)/.exec(readFileSync(from, 'latin1'))) || []
    t.ok([undefined, '/bin/sh', '/usr/lib/hostext/node'].includes(interpreter), `${to}: ${interpreter}`)
  }

  install(hostext, 'ipk')
  t.notOk(existsSync(join(target, 'etc/apt')), 'without dpkg, nothing for it')
})
