import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fetchOfficial } from '../../packaging/runtime/official.mjs'
import { PROJECT } from './paths.js'

const BUILD = join(PROJECT, 'build')

/** Why the official builds of Node cannot be had here; undefined if they can. */
export const cannotFetch = ((): string | undefined => {
  try {
    for (const arch of ['x64', 'arm64']) fetchOfficial(arch, BUILD)
    // For the built-in modules that are to be dropped.
    fetchOfficial(process.arch, BUILD)
    return undefined
  } catch (error) {
    // npm, not one of our own checks.
    const { status, stderr } = error as { status?: number; stderr?: Buffer }
    if (status === undefined) throw error
    return `npm does not fetch Node: ${String(stderr).trim().split('\n').at(-1)}`
  }
})()

/** The official build of Node for an architecture. */
export function officialNode(arch: string): string {
  return join(fetchOfficial(arch, BUILD), 'bin/node')
}

/**
 * Which runtime the tests start and install: HOSTEXT_TEST_RUNTIME=minimal for the one that is compiled. Words
 * for build.mjs.
 */
export const TESTED: readonly string[] = process.env.HOSTEXT_TEST_RUNTIME === 'minimal' ? ['--minimal'] : []

/** The directory with the runtime for an architecture: the trimmed one, or what `words` of build.mjs say. */
export function runtimeDirectory(arch: string, words: readonly string[] = []): string {
  // Without NODE_OPTIONS, in which the test runner loads itself.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, 'build.mjs', 'runtime', '--arch', arch, ...words]
  return execFileSync('env', command, {
    cwd: PROJECT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
}
