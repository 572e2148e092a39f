import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROJECT } from '../support/paths.js'
import { makeTree, readTree } from '../support/tree.js'

/** Builds the bundle from the checkout at `directory`; returns what dist/ would hold. */
function build(directory: string, out: string): Record<string, string> {
  // Without NODE_OPTIONS, in which the test runner loads itself.
  execFileSync('env', ['-u', 'NODE_OPTIONS', process.execPath, 'build.mjs', '--out', out], { cwd: directory })
  return readTree(out)
}

t.test('dist is what src makes, here and in another place', async (t) => {
  const work = makeTree(t)
  const here = build(PROJECT, join(work, 'here'))
  t.same(Object.keys(here), [
    'commands.cjs',
    'completion/bash',
    'completion/zsh',
    'hostext.cjs',
    'images.cjs',
    'licenses.txt',
    'start.cjs',
  ])
  t.same(here, readTree(join(PROJECT, 'dist')), 'dist is stale: run npm run build')

  const other = join(work, 'another/checkout')
  for (const name of ['src', 'packaging', 'build.mjs', 'package.json', 'tsconfig.json']) {
    cpSync(join(PROJECT, name), join(other, name), { recursive: true })
  }
  // Copies, because ncc numbers modules by their real paths; esbuild is only run.
  for (const name of ['minimist', 'smol-toml', 'columnify', 'wcwidth', 'defaults', 'clone', '@vercel']) {
    cpSync(join(PROJECT, 'node_modules', name), join(other, 'node_modules', name), { recursive: true })
  }
  for (const name of ['esbuild', 'marked'])
    symlinkSync(join(PROJECT, 'node_modules', name), join(other, 'node_modules', name))
  t.same(build(other, join(work, 'there')), here)
})

t.test('the bundle', async (t) => {
  const bundle = readTree(join(PROJECT, 'dist'))
  t.match(bundle['hostext.cjs'], /^#!\/usr\/lib\/hostext\/node\n/)
  t.ok((bundle['hostext.cjs'] as string).length < 180_000, 'stays small')
  for (const name of ['hostext.cjs', 'commands.cjs', 'images.cjs']) {
    const text = bundle[name] as string
    t.equal(
      Buffer.byteLength(text),
      text.length,
      `${name}: a byte a character, so that V8 has no two for each`,
    )
    // With the seeds of generators/steps/runtime.sh it is not random.
    t.notMatch(text, 'Math.random', name)
  }
  t.match(bundle['licenses.txt'], 'minimist')
  t.notOk(
    readdirSync(join(PROJECT, 'dist')).some((name) => name.endsWith('.node')),
    'no native addon',
  )
})
