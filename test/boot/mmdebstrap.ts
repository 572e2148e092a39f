import { type ExecFileSyncOptions, execFileSync } from 'node:child_process'

/**
 * Runs mmdebstrap(1) quietly with these words; throws with what it said, on `stderr`. A mirror's copy of an
 * unreleased Debian may be past its Valid-Until date.
 */
export function mmdebstrap(words: readonly string[], options: ExecFileSyncOptions = {}): void {
  execFileSync('mmdebstrap', ['--quiet', '--aptopt=Acquire::Check-Valid-Until "false"', ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...options,
  })
}
