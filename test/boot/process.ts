import { type ChildProcess, spawn } from 'node:child_process'

/** `ended`: by itself, within the limit; `code`: its exit status then. */
export type Ran = { console: string; seconds: number; ended: boolean; code: number | null }

/** Runs a machine; `watch` sees its console every `period` milliseconds. */
export async function run(
  command: string,
  words: string[],
  limit: number,
  watch: (child: ChildProcess, console: string, elapsed: number) => void,
  period = 250,
): Promise<Ran> {
  const started = Date.now()
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const chunks: string[] = []
  child.stdout?.on('data', (chunk) => chunks.push(String(chunk)))
  child.stderr?.on('data', (chunk) => chunks.push(String(chunk)))
  let ended = true
  const kill = () => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }
  process.once('exit', kill)
  // This process may be held up for minutes, making another machine: those do not count.
  let elapsed = 0
  let last = started
  const timer = setInterval(() => {
    const now = Date.now()
    elapsed += Math.min((now - last) / 1000, 5)
    last = now
    watch(child, chunks.join(''), elapsed)
    if (elapsed > limit) {
      ended = false
      kill()
    }
  }, period)
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  clearInterval(timer)
  process.off('exit', kill)
  const seconds = (Date.now() - started) / 1000
  return { console: chunks.join(''), seconds, ended: ended && !child.killed, code }
}
