import { type ChildProcess, spawn } from 'node:child_process'

/** Runs a machine; `watch` sees its console four times a second. `ended`: by itself, within the limit. */
export async function run(
  command: string,
  words: string[],
  limit: number,
  watch: (child: ChildProcess, console: string, elapsed: number) => void,
): Promise<{ console: string; seconds: number; ended: boolean }> {
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
  const timer = setInterval(() => {
    const elapsed = (Date.now() - started) / 1000
    watch(child, chunks.join(''), elapsed)
    if (elapsed > limit) {
      ended = false
      kill()
    }
  }, 250)
  await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  process.off('exit', kill)
  return { console: chunks.join(''), seconds: (Date.now() - started) / 1000, ended: ended && !child.killed }
}
