import type { CheckDocument } from '../../src/check/document.js'

/** The note that a finding of the group "files" is, as `hostext status` prints it. */
export function noteOf({ code, path, text }: CheckDocument['findings'][number]): string {
  if (code === 'as-in-the-root') return `${path}: ${text}`
  if (code === 'moved') return `moved: ${path} ${text.replace('moved ', '')}`
  return path === null ? text : text.replace(/^(dropped|not taken): /, `$1: ${path}: `)
}
