import { type Root, resolveLinks, statLink } from '../machine/files.js'
import { isObject } from '../text/json.js'
import { printable } from '../text/printable.js'

/**
 * The engine's API (https://docs.docker.com/reference/api/engine/), as far as it is used here. Paths have no
 * version, so the engine uses its own. Its answers are not trusted: they are checked here and shown through
 * printable().
 */
export type Engine = { socket: string; timeout: number }

const SOCKETS = ['/run/docker.sock', '/run/balena-engine.sock', '/run/balena.sock']
/** A list of 500 containers is about a megabyte. */
const LARGEST_ANSWER = 32 << 20

/** A container as the engine lists it. */
export type ListedContainer = {
  id: string
  /** Without the leading slash. */
  names: string[]
  imageId: string
  labels: Record<string, unknown>
  state: string
}

/**
 * Finds the engine that keeps its data in `dataRoot`. Throws an Error that says what was found at each
 * socket.
 */
export async function findEngine(root: Root, dataRoot: string, timeout: number): Promise<Engine> {
  const found: string[] = []
  for (const path of SOCKETS) {
    const engine = { socket: root.prefix + path, timeout }
    if (!statLink(root, path)) continue
    try {
      const info = await ask(engine, 'GET', '/info')
      const directory = isObject(info) ? info.DockerRootDir : undefined
      if (typeof directory === 'string' && resolveLinks(root, directory) === dataRoot) return engine
      found.push(`the one at ${path} keeps its data in ${printable(String(directory))}`)
    } catch (error) {
      found.push(`${path}: ${(error as Error).message}`)
    }
  }
  const others = found.length > 0 ? found.join('; ') : `none of ${SOCKETS.join(', ')} exists`
  throw new Error(`no engine keeps its data in ${printable(dataRoot)}: ${others}`)
}

/** Lists all containers with this label, whatever their state. */
export async function listContainers(engine: Engine, label: string): Promise<ListedContainer[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }))
  const list = await ask(engine, 'GET', `/containers/json?all=true&filters=${filters}`)
  if (!Array.isArray(list)) throw new Error('it did not answer with a list of containers')
  return list.filter(isObject).map(({ Id, Names, ImageID, Labels, State }) => ({
    id: String(Id),
    names: Array.isArray(Names) ? Names.map((name) => String(name).replace(/^\//, '')) : [],
    imageId: String(ImageID),
    labels: isObject(Labels) ? Labels : {},
    state: String(State),
  }))
}

/** Creates a container without a network, and does not start it. */
export async function createContainer(
  engine: Engine,
  name: string,
  image: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  await ask(engine, 'POST', `/containers/create?name=${encodeURIComponent(name)}`, {
    Image: image,
    Cmd: ['/none'],
    Labels: labels,
    HostConfig: { NetworkMode: 'none' },
  })
}

/** Removes a container that is not running, and the anonymous volumes it got from its image. */
export async function removeContainer(engine: Engine, id: string): Promise<void> {
  await ask(engine, 'DELETE', `/containers/${encodeURIComponent(id)}?v=true&force=false`)
}

/**
 * Sends one request and returns the JSON of the answer. Throws an Error with the engine's own message if it
 * refuses.
 */
async function ask(
  { socket, timeout }: Engine,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  // Imported here: loading it takes as long as the whole generator.
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeout)
    const fail = (error: Error): void =>
      reject(signal.aborted ? new Error(`no answer within ${timeout / 1000} s`) : describe(error))
    const text = body && JSON.stringify(body)
    const headers = { Host: 'engine', ...(text && { 'Content-Type': 'application/json' }) }
    const sent = request({ socketPath: socket, method, path, headers, signal, agent: false }, (answer) => {
      const chunks: Buffer[] = []
      let size = 0
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size > LARGEST_ANSWER)
          answer.destroy(new Error(`the answer is larger than ${LARGEST_ANSWER} bytes`))
      })
      answer.on('error', fail)
      answer.on('end', () => {
        const status = answer.statusCode ?? 0
        const json = parse(Buffer.concat(chunks).toString('utf8'))
        if (status >= 200 && status < 300) resolve(json)
        else {
          const message =
            isObject(json) && typeof json.message === 'string' ? json.message : 'no reason given'
          reject(new Error(`${printable(message)} (status ${status})`))
        }
      })
    })
    sent.on('error', fail)
    sent.end(text)
  })
}

/** Undefined for anything that is not JSON: the answer to a removal is empty. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What went wrong with a socket, without its path, which the message already has. */
function describe({ syscall, code, message }: NodeJS.ErrnoException): Error {
  return new Error(syscall && code ? `${syscall} ${code}` : printable(message))
}
