import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { debian } from './rootfs.js'
import { THROWAWAY_ROOT } from './throwaway-root.js'

/** Where the engine sees the directories that it is given. */
const DATA = '/mnt/data'
const CONTEXTS = '/mnt/contexts'
/** Not the usual ones: no client may find another engine by mistake. */
const SOCKET = '/run/hostext-test.sock'
const CONTAINERD_SOCKET = '/run/docker/containerd/containerd.sock'

/**
 * `sh -c ENGINE sh ROOT WORK DATA CONTEXTS`, in a mount namespace of its own: becomes the engine of the root
 * file system ROOT, which it does not change.
 */
const ENGINE = `set -e
root=$1 work=$2 data=$3 contexts=$4
${THROWAWAY_ROOT}
mkdir -p mnt/data mnt/contexts
mount --bind "$data" mnt/data
mount --bind "$contexts" mnt/contexts
echo '{ "features": { "containerd-snapshotter": true } }' >etc/docker/daemon.json
exec chroot . dockerd --data-root ${DATA} -H unix://${SOCKET} --iptables=false --ip6tables=false --bridge=none
`

export type ContainerdEngine = {
  /** Runs the client. What it is given as a path is below {@link contexts}. */
  docker: (...words: string[]) => string
  /** Builds `contexts/NAME` as `NAME:1`. */
  build: (builder: 'classic' | 'buildkit', name: string) => void
  /** The directory for build contexts, a new one. */
  contexts: string
  /** The directories of a container's layers as containerd itself mounts them, top first: `7/fs`. */
  layersOf: (id: string) => string[]
}

/**
 * Runs the engine of Debian forky on `data`, with its images in containerd's store, while `use` uses it, and
 * waits until it has stopped. Debian 12's knows no such store. It starts a containerd of its own, which keeps
 * its data in `containerd/daemon` there.
 */
export function withContainerdEngine(data: string, use: (engine: ContainerdEngine) => void): void {
  const work = mkdtempSync('/tmp/hostext-engine-')
  const contexts = mkdtempSync('/tmp/hostext-contexts-')
  const log = join(contexts, 'log')
  mkdirSync(data, { recursive: true })
  const { root } = debian('forky', 'device')
  // The redirection is made before the root changes.
  const words = ['-c', `exec >"$0" 2>&1; exec unshare --mount --propagation private sh -c "$@"`, log]
  const engine = spawn('sh', [...words, ENGINE, 'sh', root, work, data, contexts], {
    stdio: 'ignore',
    detached: true,
  })
  engine.unref()
  const pid = String(engine.pid)
  const run = (...command: string[]): string => {
    try {
      return execFileSync('nsenter', ['-t', pid, '-m', '-r', '-w', ...command], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      }).trim()
    } catch (error) {
      throw new Error(`${command.join(' ')}: ${(error as { stderr: string }).stderr}`)
    }
  }
  const docker = (...command: string[]) => run('docker', '-H', `unix://${SOCKET}`, ...command)
  const layersOf = (id: string): string[] => {
    const mount = run('ctr', '-a', CONTAINERD_SOCKET, '-n', 'moby', 'snapshots', 'mounts', '/none', id)
    const lower = /lowerdir=([^, ]*)/.exec(mount)?.[1]?.split(':') ?? []
    return lower.map((path) => path.replace(/.*\/snapshots\//, ''))
  }
  const build = (builder: string, name: string): void => {
    const buildkit = `DOCKER_BUILDKIT=${builder === 'buildkit' ? 1 : 0}`
    const words = ['build', '--quiet', '--network=none', '--tag', `${name}:1`, `${CONTEXTS}/${name}`]
    run('env', buildkit, 'docker', '-H', `unix://${SOCKET}`, ...words)
  }
  try {
    waitUntil(() => docker('version') !== '', log)
    use({ docker, build, contexts, layersOf })
  } finally {
    execFileSync('sh', [
      '-c',
      `kill ${pid} 2>/dev/null; while [ -d /proc/${pid} ] && ! grep -q '^State:.Z' /proc/${pid}/status; do sleep 0.1; done`,
    ])
    for (const directory of [work, contexts]) rmSync(directory, { recursive: true, force: true })
  }
}

function waitUntil(isReady: () => boolean, log: string): void {
  for (let attempt = 0; attempt < 300; attempt++) {
    try {
      if (isReady()) return
    } catch {
      // Not yet.
    }
    execFileSync('sleep', ['0.2'])
  }
  throw new Error(`dockerd did not start:\n${readFileSync(log, 'utf8').slice(-3000)}`)
}
