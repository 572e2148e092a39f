import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { marked } from 'marked'
import { blocksIn } from '../support/examples.js'
import { PROJECT } from '../support/paths.js'
import { cached } from './cache.js'
import { withEngine } from './engine.js'
import { mmdebstrap } from './mmdebstrap.js'
import type { Release } from './rootfs.js'

/**
 * An extension of docs/authors.md. The guide has its files, each in a block below its path, which begins with
 * the name of the example; what is typed to make it, in `console example=NAME`; and what is typed on the
 * machine that has booted with it, with what that prints, in `console boot=NAME`.
 */
export type GuideExample = {
  files: ReadonlyMap<string, string>
  commands: readonly string[]
  boot: readonly { command: string; shown: string }[]
}

const GUIDE = join(PROJECT, 'docs/authors.md')

/** The example of that name. Throws an Error if the guide does not have all parts of it. */
export function guideExample(name: string): GuideExample {
  const guide = readFileSync(GUIDE, 'utf8')
  const blocks = blocksIn(guide)
  const textOf = (mark: string): string =>
    blocks
      .filter(({ lang }) => lang === mark)
      .map(({ text }) => text)
      .join('\n')
  const files = new Map([...filesIn(guide)].filter(([path]) => path.startsWith(`${name}/`)))
  const commands = textOf(`console example=${name}`)
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2))
  const boot = textOf(`console boot=${name}`)
    .split(/^# /m)
    .slice(1)
    .map((typed) => {
      const [command = '', ...shown] = typed.trimEnd().split('\n')
      return { command, shown: shown.join('\n') }
    })
  if (files.size === 0 || commands.length === 0 || boot.length === 0)
    throw new Error(`docs/authors.md does not have all parts of the example ${name}`)
  return { files, commands, boot }
}

/** The blocks that stand below a line with nothing but a path and a colon. */
function filesIn(guide: string): Map<string, string> {
  const tokens = marked.lexer(guide).filter(({ type }) => type !== 'space')
  return new Map(
    tokens.flatMap((token, index) => {
      const [, path] = /^`(\S+\/\S+)`:$/.exec(tokens[index - 1]?.raw.trim() ?? '') ?? []
      return token.type === 'code' && path ? [[path, `${token.text}\n`] as const] : []
    }),
  )
}

/** The lines of a script that report what these commands print on the machine. */
export function typedThere(name: string): string {
  return guideExample(name)
    .boot.map(({ command }, index) => `report ${name}-${index} sh -c '${command.replaceAll("'", "'\\''")}'\n`)
    .join('')
}

const VERSIONS: Record<Release, string> = { bookworm: '12', trixie: '13', forky: 'forky' }

/**
 * The data root after the commands of these examples. They are typed as they stand, with a real engine. Two
 * programs are others: a docker whose builds have the network of this machine, because the engine has none of
 * its own, and a uname that names the machine's `kernel`. There is no registry here: the images of Debian are
 * made of the packages of the machine's release.
 */
export function guideDataRoot(names: readonly string[], release: Release, kernel: string): string {
  const examples = names.map(guideExample)
  const recipe = [
    kernel,
    readFileSync(import.meta.filename, 'utf8'),
    ...examples.map(({ files, commands }) => JSON.stringify([[...files], commands])),
  ]
  const directory = cached(`guide-${names.join('-')}-${release}`, recipe.join('\n'), (made) => {
    const data = join(made, 'docker')
    const work = mkdtempSync(join(made, 'work-'))
    const image = `debian:${VERSIONS[release]}`
    for (const { files } of examples) writeFiles(work, files, image)
    withEngine(data, ({ docker, socket }) => {
      if (examples.some(({ files }) => usesDebian(files))) {
        const base = join(made, 'base.tar')
        mmdebstrap(['--variant=minbase', release, base])
        docker('import', base, image)
        rmSync(base)
      }
      const path = writePrograms(work, socket, kernel)
      for (const command of examples.flatMap(({ commands }) => commands)) type(command, work, path)
    })
    rmSync(work, { recursive: true })
  })
  return join(directory, 'docker')
}

const FROM_DEBIAN = /^FROM debian:12\b/gm

function usesDebian(files: ReadonlyMap<string, string>): boolean {
  return [...files].some(([path, text]) => path.endsWith('/Dockerfile') && text.search(FROM_DEBIAN) >= 0)
}

function writeFiles(work: string, files: ReadonlyMap<string, string>, image: string): void {
  for (const [path, text] of files) {
    mkdirSync(dirname(join(work, path)), { recursive: true })
    writeFileSync(
      join(work, path),
      path.endsWith('/Dockerfile') ? text.replaceAll(FROM_DEBIAN, `FROM ${image}`) : text,
    )
  }
}

/** Returns the PATH with both programs. */
function writePrograms(work: string, socket: string, kernel: string): string {
  const programs = {
    docker: `export DOCKER_BUILDKIT=1\n[ "$1" != build ] || { shift; set -- build --network=host "$@"; }\nexec /usr/bin/docker -H unix://${socket} "$@"\n`,
    uname: `echo ${kernel}\n`,
  }
  const directory = join(work, '.bin')
  mkdirSync(directory)
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}`)
    chmodSync(join(directory, name), 0o755)
  }
  return `${directory}:${process.env.PATH}`
}

function type(command: string, work: string, path: string): void {
  try {
    execFileSync('sh', ['-c', command], {
      ...{ cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      env: { ...process.env, PATH: path },
    })
  } catch (error) {
    throw new Error(`docs/authors.md: ${command}: ${(error as { stderr: string }).stderr}`)
  }
}
