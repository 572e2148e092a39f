import { appendFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildDebs } from '../../packaging/deb.mjs'
import { PROJECT } from '../support/paths.js'
import { runtimeDirectory, TESTED } from '../support/runtime.js'
import { cached } from './cache.js'
import { hashOfSources, SOURCES } from './sources.js'

/** Everything in them has this time. The packages of a release have that of a commit. */
const TIME = 1_700_000_000
/** Lower than that of any release. */
const OLDER = '0.0.1'

/** Directories with the packages of this checkout for x64, and with those of a version before it. */
export type Debs = { current: string; older: string }

/** Makes them, compressed as little as is quick. The version before has another bundle. */
export function debs(): Debs {
  const directory = cached('debs', [hashOfSources(), ...TESTED].join(' '), (made) => {
    const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))
    const runtimes = { x64: runtimeDirectory('x64', TESTED) }
    const common = { runtimes, time: TIME, compression: '0' }
    buildDebs({ ...common, project: PROJECT, version, out: join(made, 'current') })
    const before = join(made, 'before')
    mkdirSync(before)
    for (const path of SOURCES) cpSync(join(PROJECT, path), join(before, path), { recursive: true })
    appendFileSync(join(before, 'dist/hostext.cjs'), '\n// another version\n')
    buildDebs({ ...common, project: before, version: OLDER, out: join(made, 'older') })
  })
  return { current: join(directory, 'current'), older: join(directory, 'older') }
}
