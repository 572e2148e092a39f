import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fstabLine } from '../../../src/text/fstab-line.js'

const LINE = { what: 'hostext', where: '/run/nextroot', type: 'overlay', options: 'ro,lowerdir=0:/' }

const NO_FINDMNT = { skip: spawnSync('findmnt', ['--version']).status !== 0 && 'no findmnt here' }

t.test('a line', async (t) => {
  t.equal(fstabLine(LINE), 'hostext /run/nextroot overlay ro,lowerdir=0:/ 0 0\n')
  t.equal(
    fstabLine({ ...LINE, what: '/my data\\x', where: '/a\tb' }),
    '/my\\040data\\134x /a\\011b overlay ro,lowerdir=0:/ 0 0\n',
  )
})

t.test(
  'findmnt(8), which reads it with the library of mount(8), has the same fields',
  NO_FINDMNT,
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'hostext-fstab-line-'))
    t.teardown(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'fstab')
    for (const path of ['/my data', '/a\\040b', '/x#y', '/"quoted"', '/ü', '/a\\']) {
      const line = fstabLine({ ...LINE, what: path, where: `/run/nextroot${path}` })
      writeFileSync(file, line)
      const words = ['--tab-file', file, '--json', '--output', 'SOURCE,TARGET,FSTYPE,OPTIONS']
      const { stdout } = spawnSync('findmnt', words, { encoding: 'utf8' })
      const [read] = JSON.parse(stdout).filesystems
      t.strictSame(read, {
        source: path,
        target: `/run/nextroot${path}`,
        fstype: 'overlay',
        options: LINE.options,
      })
    }
  },
)
