import { inputRoot, readText } from '../machine/files.js'
import { INDEX_LOG, MOUNT_LOG } from '../machine/run-directory.js'
import type { Line } from '../report/screen.js'
import { readThisBoot } from '../report/this-boot.js'
import type { Answer, Call } from './answer.js'

/** What programs that were run have printed, as far as it matters. */
const LARGEST = 1 << 20

/** `hostext log`: what was said in this boot, and what the programs that it runs have said. */
export function showLog({ environment }: Call): Answer {
  const root = inputRoot(environment)
  const now = readThisBoot(root)
  const outputs = [MOUNT_LOG, INDEX_LOG].flatMap((path) => {
    const text = readText(root, path, LARGEST)
    if (text instanceof Error) return [{ path, lines: [text.message] }]
    const lines = (text ?? '').split('\n').filter(Boolean)
    return lines.length > 0 ? [{ path, lines }] : []
  })
  const said = (now?.messages ?? []).map(({ level, text }): Line => {
    if (level === 'error') return { colour: 'red', text: `error: ${text}` }
    return level === 'warning' ? { colour: 'yellow', text: `warning: ${text}` } : text
  })
  return {
    document: { messages: now?.messages ?? null, outputs },
    lines: [
      ...(now ? said : ['hostext has not run in this boot']),
      ...outputs.flatMap(({ path, lines }) => ['', `${path}:`, ...lines.map((line) => `  ${line}`)]),
    ],
    status: 0,
  }
}
