import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import t from 'tap'
import { execWord, literal, unitName } from '../../../src/text/unit-syntax.js'

t.equal(literal('100%f'), '100%%f')

t.equal(unitName('/run/nextroot/var', 'mount'), 'run-nextroot-var.mount')
t.equal(unitName('/', 'mount'), '-.mount')
t.equal(unitName('/home/my-data', 'mount'), 'home-my\\x2ddata.mount')
t.equal(unitName('/.hidden', 'mount'), '\\x2ehidden.mount')

const SYSTEMD_ESCAPE = '/usr/bin/systemd-escape'
t.test(
  'unit names are those of systemd-escape',
  { skip: !existsSync(SYSTEMD_ESCAPE) && `no ${SYSTEMD_ESCAPE}` },
  async (t) => {
    for (const path of ['/', '/var', '/a b', '/größe', '/a/.b', '/.a', '/a-b/c_d:e', '/tab\there', '/100%']) {
      const expected = execFileSync(SYSTEMD_ESCAPE, ['--path', '--suffix=mount', path], {
        encoding: 'utf8',
      }).trim()
      t.equal(unitName(path, 'mount'), expected, path)
    }
  },
)

t.equal(execWord('remount,rw'), 'remount,rw')
t.equal(execWord('/a b'), '"/a b"')
t.equal(execWord('50%'), '50%%')
t.equal(execWord('$HOME'), '$$HOME')
t.equal(execWord('a"b\\c'), '"a\\"b\\\\c"')
t.equal(execWord(';'), '";"', 'a lone semicolon would start another command')
t.equal(execWord(''), '""')
