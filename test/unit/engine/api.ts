import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createContainer, findEngine, listContainers, removeContainer } from '../../../src/engine/api.js'
import { makeTree } from '../../support/tree.js'

/** An engine that answers as it is told; what it was asked is in `requests`. */
async function engine(t: Test, answer: RequestListener, name = 'docker.sock', timeout = 10_000) {
  const prefix = makeTree(t, { 'run/x': '' })
  const socket = join(prefix, 'run', name)
  const requests: string[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      requests.push(`${request.method} ${decodeURIComponent(request.url ?? '')} ${body}`.trim())
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { root: { prefix }, engine: { socket, timeout }, requests }
}

const json =
  (value: unknown, status = 200): RequestListener =>
  (_, response) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))

t.test('the engine is the one with the data', async (t) => {
  for (const name of ['docker.sock', 'balena-engine.sock', 'balena.sock']) {
    const { root, engine: expected } = await engine(t, json({ DockerRootDir: '/data' }), name)
    t.same(await findEngine(root, '/data', 10_000), expected)
    await t.rejects(findEngine(root, '/other', 10_000), {
      message: `no engine keeps its data in /other: the one at /run/${name} keeps its data in /data`,
    })
  }
})

t.test('requests', async (t) => {
  const { engine: to, requests } = await engine(t, json([]))
  t.same(await listContainers(to, 'a.label'), [])
  await createContainer(to, 'na me', 'sha256:x', { a: '' })
  await removeContainer(to, '../x')
  t.same(requests, [
    'GET /containers/json?all=true&filters={"label":["a.label"]}',
    'POST /containers/create?name=na me {"Image":"sha256:x","Cmd":["/none"],"Labels":{"a":""},"HostConfig":{"NetworkMode":"none"}}',
    'DELETE /containers/../x?v=true&force=false',
  ])
})

t.test('a list with nonsense in it', async (t) => {
  const { engine: to } = await engine(t, json([null, 'x', { Id: 5, Names: 'x', Labels: [] }]))
  const nonsense = { id: '5', names: [], imageId: 'undefined', labels: {}, state: 'undefined' }
  t.same(await listContainers(to, 'x'), [nonsense])
})

t.test('what goes wrong is one line', async (t) => {
  for (const [answer, message] of [
    [json({ message: 'no\nsuch\x1b[31m image' }, 404), 'no\\x0asuch\\x1b[31m image (status 404)'],
    [json({}, 500), 'no reason given (status 500)'],
    [json({ message: {} }, 409), 'no reason given (status 409)'],
    [json({ Id: 'x' }), 'it did not answer with a list of containers'],
    [(_, response) => response.end('{'), 'it did not answer with a list of containers'],
    [(request) => request.socket.destroy(), 'socket hang up'],
    [(request) => request.socket.end('nonsense\r\n\r\n'), /^Parse Error/],
    [
      (_, response) => response.writeHead(200, { 'Content-Length': 10 }).write('[', () => response.destroy()),
      'aborted',
    ],
  ] as [RequestListener, string | RegExp][]) {
    const { engine: to } = await engine(t, answer)
    await t.rejects(listContainers(to, 'x'), { message })
  }
})

t.test('an engine that hangs', async (t) => {
  for (const answer of [() => {}, (_, response) => response.writeHead(200).write('[')] as RequestListener[]) {
    const { engine: to } = await engine(t, answer, 'docker.sock', 200)
    await t.rejects(listContainers(to, 'x'), { message: 'no answer within 0.2 s' })
  }
})

t.test('an answer without end', async (t) => {
  const { engine: to } = await engine(t, (_, response) => {
    const more = (): void => void response.write(Buffer.alloc(1 << 20, ' '), (error) => error || more())
    more()
  })
  await t.rejects(listContainers(to, 'x'), { message: 'the answer is larger than 33554432 bytes' })
})

t.test('a socket that nobody listens at', async (t) => {
  const root = { prefix: makeTree(t, { 'run/docker.sock': '' }) }
  await t.rejects(findEngine(root, '/data', 10_000), {
    message: 'no engine keeps its data in /data: /run/docker.sock: connect ECONNREFUSED',
  })
})
