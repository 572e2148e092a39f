import ts from 'typescript'

/** A small change to a file that makes it do something else: what is from `start` to `end` becomes `text`. */
export type Fault = { kind: string; start: number; end: number; text: string }

/** Operators and what each becomes. */
const SWAPPED: Record<string, string> = {
  '===': '!==',
  '!==': '===',
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '&&': '||',
  '||': '&&',
}

/** All the faults that the TypeScript `source` offers. Types, imports and comments have none. */
export function faultsOf(source: string): Fault[] {
  const file = ts.createSourceFile('x.ts', source, ts.ScriptTarget.ES2023, true)
  const found: Fault[] = []
  const add = (kind: string, node: { getStart(): number; getEnd(): number }, text: string) =>
    found.push({ kind, start: node.getStart(), end: node.getEnd(), text })
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isTypeAliasDeclaration(node) || ts.isImportDeclaration(node)) return
    if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText()
      const other = SWAPPED[operator]
      if (other !== undefined)
        add(/[&|]/.test(operator) ? 'and, or' : 'comparison', node.operatorToken, other)
      if (operator === '??') add('and, or', node, node.left.getText())
    }
    if (ts.isIfStatement(node) || ts.isWhileStatement(node))
      add('condition', node.expression, `!(${node.expression.getText()})`)
    if (ts.isConditionalExpression(node)) add('condition', node.condition, `!(${node.condition.getText()})`)
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
      add('condition', node, node.operand.getText())
    if (ts.isExpressionStatement(node) || ts.isReturnStatement(node) || ts.isThrowStatement(node))
      add('statement', node, ts.isBlock(node.parent) || ts.isSourceFile(node.parent) ? '' : '{}')
    if (ts.isArrayLiteralExpression(node)) {
      for (const left of node.elements)
        add('entry', node, `[${node.elements.filter((one) => one !== left).map((one) => one.getText())}]`)
    }
    if (ts.isNumericLiteral(node)) add('number', node, String(Number(node.text) + 1))
    if (ts.isStringLiteral(node) && !ts.isLiteralTypeNode(node.parent))
      add('text', node, JSON.stringify(node.text === '' ? 'x' : node.text.slice(0, -1)))
    if (ts.isRegularExpressionLiteral(node)) {
      const { text } = node
      if (text.startsWith('/^')) add('expression', node, `/${text.slice(2)}`)
      if (/[^\\]\$\/\w*$/.test(text)) add('expression', node, text.replace(/\$(\/\w*)$/, '$1'))
    }
    if (
      ts.isNoSubstitutionTemplateLiteral(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node)
    ) {
      // A line of a unit is left out; of a shorter text, a word.
      const raw = node.getText()
      const lines = [...raw.matchAll(/(?<=\n)[^\n`$}]+\n/g)]
      const words = lines.length > 0 ? lines : [...raw.matchAll(/[A-Za-z]{2,}/g)]
      for (const { index, 0: word } of words)
        add('template', node, raw.slice(0, index) + raw.slice(index + word.length))
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/**
 * All the faults that the shell script (or unit, of which only lines can go) `source` offers, but comments.
 */
export function shellFaultsOf(source: string, isUnit = false): Fault[] {
  const found: Fault[] = []
  let start = 0
  for (const line of source.split('\n')) {
    const at = start
    start += line.length + 1
    if (/^\s*(?:#|$)/.test(line)) continue
    const add = (kind: string, index: number, length: number, text: string) =>
      found.push({ kind, start: at + index, end: at + index + length, text })
    if (!/^\s*(?:then|else|fi|do|done|esac|\}|\[\w+\]$)/.test(line)) add('shell: line', 0, line.length, '')
    if (isUnit) continue
    for (const { index } of line.matchAll(/\[ (?!! )/g)) add('shell: condition', index, 2, '[ ! ')
    for (const { index } of line.matchAll(/\[ ! /g)) add('shell: condition', index, 4, '[ ')
    for (const { index, 0: word } of line.matchAll(/&&|\|\|/g))
      add('shell: and, or', index, 2, word === '&&' ? '||' : '&&')
    for (const { index, 0: word } of line.matchAll(/(?<= )!?=(?= )/g))
      add('shell: condition', index, word.length, word === '=' ? '!=' : '=')
    for (const { index, 0: word } of line.matchAll(/(?<![\w$.])\d+(?![\w>])/g))
      add('shell: number', index, word.length, String(Number(word) + 1))
  }
  return found
}
