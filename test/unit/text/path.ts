import t from 'tap'
import { simplifyPath, withoutTrailingSlashes } from '../../../src/text/path.js'

t.test('a path as systemd has it', async (t) => {
  for (const [path, simple] of [
    ['/', '/'],
    ['//', '/'],
    ['/.', '/'],
    ['/var', '/var'],
    ['/var/', '/var'],
    ['//var//lib/./docker/.', '/var/lib/docker'],
    ['/var/../etc', '/var/../etc'],
    ['/...', '/...'],
    ['none', 'none'],
    ['./x/', './x/'],
    ['', ''],
  ] as const)
    t.equal(simplifyPath(path), simple, path)
})

t.test('without slashes at its end', async (t) => {
  for (const [path, bare] of [
    ['/a//', '/a'],
    ['//', ''],
    ['a', 'a'],
  ] as const)
    t.equal(withoutTrailingSlashes(path), bare, path)
})
