import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

/** `ended`: whether it ended by itself within the limit; `code`: its exit status then. */
export type Ran = {
  console: string
  seconds: number
  ended: boolean
  code: number | null
  /** Whether `cut` has ended it. */
  isCut: boolean
}

/** A running machine: its output, how many seconds it has run, and what can be done to it. */
export type Running = {
  console: string
  elapsed: number
  kill: () => void
  type: (text: string) => void
}

export type RunOptions = {
  /** Seconds after which it is ended. */
  limit: number
  /** Called every `period` milliseconds. */
  watch?: (running: Running) => void
  period?: number
  /** A file for its output instead of a pipe, for a program that does not wait until a pipe is read. */
  output?: string
  /**
   * Kills it `after` milliseconds after `at` is in `output`, by a process of its own: this one may be busy
   * making another machine, and would come too late.
   */
  cut?: { at?: string; after?: number }
}

/** `sh -c CUT sh TEXT FILE SECONDS GROUP`: kills the process group, after that. */
const CUT = 'until grep -qF -- "$1" "$2"; do sleep 0.05; done; sleep "$3"; kill -s KILL -- "-$4"'

/** Runs a machine until it ends. It does not outlive this process, however this process ends. */
export async function run(
  words: string[],
  { limit, watch = () => {}, period = 250, output, cut }: RunOptions,
): Promise<Ran> {
  const started = Date.now()
  const file = output === undefined ? 'pipe' : openSync(output, 'w')
  const stdio = ['pipe', file, file] as const
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...words], { stdio: [...stdio], detached: true })
  if (typeof file === 'number') closeSync(file)
  const cutting =
    cut && output !== undefined
      ? spawn('sh', [
          '-c',
          CUT,
          'sh',
          cut.at ?? '',
          output,
          String((cut.after ?? 0) / 1000),
          String(child.pid),
        ])
      : undefined
  const isCut = new Promise<boolean>((resolve) => {
    if (cutting) cutting.once('exit', (code) => resolve(code === 0))
    else resolve(false)
  })
  const chunks: string[] = []
  child.stdout?.on('data', (chunk) => chunks.push(String(chunk)))
  child.stderr?.on('data', (chunk) => chunks.push(String(chunk)))
  const said = () => (output === undefined ? chunks.join('') : readFileSync(output, 'utf8'))
  let ended = true
  const kill = () => {
    ended = false
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }
  process.once('exit', kill)
  // It may end before it has read all.
  child.stdin?.on('error', () => {})
  const type = (text: string) => child.stdin?.write(text)
  // This process may be busy for minutes making another machine; that time does not count.
  let elapsed = 0
  let last = started
  const timer = setInterval(() => {
    const now = Date.now()
    elapsed += Math.min((now - last) / 1000, 5)
    last = now
    watch({ console: said(), elapsed, kill, type })
    if (elapsed > limit) kill()
  }, period)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('close', resolve)
    child.on('error', reject)
  }).finally(() => clearInterval(timer))
  process.off('exit', kill)
  cutting?.kill()
  const seconds = (Date.now() - started) / 1000
  return { console: said(), seconds, ended: ended && !(await isCut), code, isCut: await isCut }
}
