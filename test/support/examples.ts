import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { marked } from 'marked'
import type { Test } from 'tap'
import { TREES } from '../../src/image/kept.js'
import { prepareCase, withoutHashes } from './case.js'
import { BUNDLE, COMMANDS_BUNDLE, PROJECT } from './paths.js'
import { walk } from './tree.js'

/**
 * A block of a document that shows what a terminal shows, on a machine of test/cases. `booted`: the generator
 * has run there, and what it stacks is mounted. `fresh`: its images are not prepared. `mark`: what stands
 * behind its fence.
 */
export type Example = { machine: string; booted: boolean; fresh: boolean; text: string; mark: string }

const MARK = /^console machine=([a-z0-9-]+)((?: booted| fresh)*)$/

/**
 * The examples in a document: its fenced blocks `console machine=NAME`, with `booted` or `fresh` behind it.
 * Throws an Error if a block looks like one and is not: nobody would run it.
 */
export function examplesIn(text: string): Example[] {
  return blocksIn(text)
    .filter(({ lang }) => lang.includes('machine='))
    .map(({ lang, text }) => {
      const [, machine, words] = MARK.exec(lang) ?? []
      if (machine === undefined || words === undefined) throw new Error(`not the mark of an example: ${lang}`)
      const [booted, fresh] = [words.includes('booted'), words.includes('fresh')]
      return { machine, booted, fresh, text, mark: lang }
    })
}

/** The fenced blocks of a document, also those in lists. `lang`: all that stands behind the fence. */
export function blocksIn(text: string): { lang: string; text: string }[] {
  const blocks: { lang: string; text: string }[] = []
  marked.walkTokens(marked.lexer(text), (token) => {
    if (token.type === 'code') blocks.push({ lang: token.lang ?? '', text: token.text })
  })
  return blocks
}

/** The text of an example if its commands (`# hostext …`) were typed now, one after the other. */
export async function typeAgain(t: Test, { machine, booted, fresh, text }: Example): Promise<string> {
  const { work, root } = await prepareCase(t, machine)
  const data = join(root, 'var/lib/docker')
  complete(root, data)
  if (fresh) rmSync(join(data, TREES), { recursive: true })
  if (booted) boot(work, root, data)
  const commands = text.split('\n').filter((line) => line.startsWith('# '))
  if (commands.length === 0) throw new Error(`an example without a command: ${text}`)
  return commands.map((line) => `${line}\n${type(root, line.slice(2))}`).join('')
}

function hostext(root: string, words: string[], bundle = COMMANDS_BUNDLE) {
  // As on a terminal that is as wide as the manual has room for examples.
  const terminal = { COLUMNS: '62', LANG: 'C.UTF-8' }
  const environment = { PATH: process.env.PATH, HOSTEXT_ROOT: root, ...terminal }
  return spawnSync(process.execPath, [bundle, ...words], { encoding: 'utf8', env: environment })
}

/** What it prints, on both streams. */
function type(root: string, command: string): string {
  const [program, ...words] = command.split(' ')
  if (program !== 'hostext') throw new Error(`an example can only have commands of hostext: ${command}`)
  const { stdout, stderr } = hostext(root, words)
  // Where the machine of the example is means nothing.
  return `${stdout}${stderr}`.replaceAll(root, '/srv/device')
}

/** As a boot leaves the machine: decided, and each tree where its mount unit shows it. */
function boot(work: string, root: string, data: string): void {
  const directories = ['normal', 'early', 'late'].map((name) => join(work, name))
  const { status, stderr } = hostext(root, directories, BUNDLE)
  if (status !== 0) throw new Error(stderr)
  const run = join(root, 'run/hostext')
  // A boot that stays plain stacks nothing.
  const report = join(run, 'boot.json')
  const { extensions = [] } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {}
  for (const [index, { tree }] of (extensions as { tree: string }[]).entries()) {
    if (readdirSync(run).includes(String(index))) rmdirSync(join(run, String(index)))
    symlinkSync(join(data, TREES, tree, 'tree'), join(run, String(index)))
  }
}

/**
 * What git does not keep, and what only the bundle knows: `.wh.NAME` becomes what overlayfs knows the
 * deletion of NAME by, which needs root, and the records have the bundle's version.
 */
function complete(root: string, data: string): void {
  for (const { path } of walk(root)) {
    if (!basename(path).startsWith('.wh.')) continue
    const file = join(root, path)
    rmSync(file)
    execFileSync('mknod', [join(file, '..', basename(path).slice('.wh.'.length)), 'c', '0', '0'])
  }
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))
  for (const { path, entry } of walk(join(data, 'hostext'))) {
    if (!entry.isFile() || path.includes('/')) continue
    const file = join(data, 'hostext', path)
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replaceAll(/"hostext":"[^"]*"/g, `"hostext":"${version}"`))
  }
}

/** The text without what is another one each time: hashes of trees, which depend on this machine; seconds. */
export function normalized(text: string): string {
  return withoutHashes(text)
    .replaceAll(/\b\d+\.\d s$/gm, 'SECONDS')
    .replaceAll(/\bhostext \d+\.\d+\.\d+\b/g, 'hostext VERSION')
    .replaceAll(/ +$/gm, '')
    .trimEnd()
}

/** Whether the text of an example shows what was printed. A line `...` stands for any lines, or none. */
export function shows(text: string, printed: string): boolean {
  const pattern = normalized(text)
    .split('\n')
    .map((line) =>
      line.trim() === '...' ? '(?:.*\n)*?' : `${line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}\n`,
    )
  return new RegExp(`^${pattern.join('')}$`).test(`${normalized(printed)}\n`)
}
