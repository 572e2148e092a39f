import t from 'tap'
import { type Fault, faultsOf, shellFaultsOf } from '../faults/places.js'

/** What each fault makes of the source, by kind; unchanged or twice the same is none. */
function made(source: string, faults: Fault[]): Record<string, string[]> {
  const byKind: Record<string, string[]> = {}
  for (const { kind, start, end, text } of faults) {
    byKind[kind] ??= []
    byKind[kind].push(source.slice(0, start) + text + source.slice(end))
  }
  return byKind
}

t.test('what can be wrong in TypeScript', async (t) => {
  const faults = (source: string) => made(source, faultsOf(source))
  t.same(faults('if (a) b()'), {
    condition: ['if (!(a)) b()'],
    statement: ['if (a) {}'],
  })
  t.same(faults('x = a === b && !c'), {
    statement: [''],
    'and, or': ['x = a === b || !c'],
    comparison: ['x = a !== b && !c'],
    condition: ['x = a === b && c'],
  })
  t.same(faults('const x = [1, a ?? b]').entry, ['const x = [a ?? b]', 'const x = [1]'])
  t.same(faults('const x = 1 < y').comparison, ['const x = 1 <= y'])
  t.same(faults('const x = a ?? b')['and, or'], ['const x = a'])
  t.same(faults('const x = 9').number, ['const x = 10'])
  t.same(faults("const x = ['ab', '']").text, [`const x = ["a", '']`, `const x = ['ab', "x"]`])
  t.same(faults('const x = /^a$/u').expression, ['const x = /a$/u', 'const x = /^a/u'])
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: source text
  t.same(faults('const x = `[Unit]\nA=${b}\nB=c\n`').template, [
    'const x = `[]\nA=${b}\nB=c\n`',
    'const x = `[Unit]\nA=${b}\n`',
  ])
  t.same(faults('const x = `one ${b}`').template, ['const x = ` ${b}`'])
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: source text
  t.same(
    faults("import a from 'b'\n// 1 === 2\ntype X = 'x' | 3\nlet y: 'z' | 5"),
    {},
    'neither types nor comments',
  )
})

t.test('what can be wrong in a script', async (t) => {
  const faults = (source: string) => made(source, shellFaultsOf(source))
  t.same(faults('# a && b\n[ -e x ] || y\n'), {
    'shell: line': ['# a && b\n\n'],
    'shell: condition': ['# a && b\n[ ! -e x ] || y\n'],
    'shell: and, or': ['# a && b\n[ -e x ] && y\n'],
  })
  t.same(faults('if [ ! "$a" = 1 ]; then\nfi')['shell: condition'], [
    'if [ "$a" = 1 ]; then\nfi',
    'if [ ! "$a" != 1 ]; then\nfi',
  ])
  t.same(faults('sleep 2')['shell: number'], ['sleep 3'])
  t.same(made('[Unit]\nA=1\n', shellFaultsOf('[Unit]\nA=1\n', true)), { 'shell: line': ['[Unit]\n\n'] })
})
