import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { Readable } from 'node:stream'
import { RepositoryExchanged } from '../../src/git/state/reopen-repository.js'
import type { OriginResponse, PassThroughRequest } from '../../src/origin/pass-through.js'
import type { Target } from '../../src/origin/target.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../src/origin/faults/upstream-errors.js'
import { eventually } from '../support/eventually.js'
import { openServer, originResponse } from '../support/fake-origin-server.js'
import { ask } from '../support/http-client.js'

type Answer = (request: PassThroughRequest, target: Target) => OriginResponse | Promise<OriginResponse>

/** Opens a server whose origin passes everything to `answer`. @returns its URL, and which method of the origin was called */
async function open(t: Test, answer: Answer, anyTarget = true) {
  const calls: string[] = []
  const by = (name: string) => async (target: Target, request: PassThroughRequest) => {
    calls.push(`${name} ${request.method} ${target.path}`)
    return answer(request, target)
  }
  const origin = { passThrough: by('passThrough'), mutate: by('mutate') }
  const { url, metrics } = await openServer(t, { origin: origin as never, anyTarget })
  const counted = async (asked: { kind?: string; outcome: string }) => {
    const { values } = await metrics.requests.get()
    const found = values.filter(
      ({ labels: { kind, outcome } }) => outcome === asked.outcome && kind === (asked.kind ?? kind),
    )
    return found.reduce((sum, { value }) => sum + value, 0)
  }
  return { url, calls, counted }
}

async function read({ body: { beginning, ended, rest } }: PassThroughRequest): Promise<Buffer> {
  return Buffer.concat([beginning, ...(ended ? [] : ((await rest.toArray()) as Buffer[]))])
}

const echo: Answer = async (request) => originResponse({ body: Readable.from([await read(request)]) })

/** Opens a connection. `received()`: all that has come on it. */
function connection(t: Test, url: string) {
  const { hostname, port } = new URL(url)
  const socket = createConnection(Number(port), hostname)
  let received = ''
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  t.teardown(() => socket.destroy())
  return { socket, received: () => received }
}

t.test(
  'a request that Git’s protocol does not have goes to the origin if another server is behind',
  async (t) => {
    const { url, calls, counted } = await open(t, echo)
    t.equal(
      (await ask(`${url}/a.git/info/lfs/objects/1`, { method: 'PUT', body: 'abc' })).body.toString(),
      'abc',
    )
    t.equal((await ask(`${url}/a.git/settings`, { method: 'PATCH', body: 'abc' })).body.toString(), 'abc')
    t.equal((await ask(`${url}/a.git/settings`, { method: 'DELETE' })).status, 200)
    t.equal((await ask(`${url}/a/git-receive-pack`, { method: 'POST', body: 'abc' })).body.toString(), 'abc')
    t.equal((await ask(`${url}/favicon.ico`, { method: 'HEAD' })).status, 200)
    t.same(calls, [
      ...['passThrough PUT a.git', 'mutate PATCH a.git', 'mutate DELETE a.git', 'mutate POST a'],
      'passThrough HEAD favicon.ico',
    ])
    t.equal(await counted({ kind: 'pass', outcome: 'passthrough' }), 4)
    t.equal((await ask(`${url}/a.git/settings`, { method: 'TRACE' })).status, 405)
  },
)

t.test('and to nobody else', async (t) => {
  const { url, calls } = await open(t, echo, false)
  t.equal((await ask(`${url}/a.git/settings`)).status, 404)
  t.equal((await ask(`${url}/a.git/HEAD`, { method: 'PUT', body: 'abc' })).status, 405)
  t.same(calls, [])
})

t.test('a client that waits for 100 (Continue) gets it before the origin has the body', async (t) => {
  const { url } = await open(t, echo)
  for (const path of ['/a/git-receive-pack', '/a/info/lfs/objects/1']) {
    const { socket, received } = connection(t, url)
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`
    socket.write(head)
    await eventually('continue', () => received().startsWith('HTTP/1.1 100 Continue\r\n\r\n'))
    socket.write('abc')
    await eventually('the answer', () => /HTTP\/1.1 200 OK\r\n[^]*abc/.test(received()))
  }
})

t.test('a chunked body of any length streams in both directions', async (t) => {
  const { url } = await open(t, ({ body }) => {
    t.equal(body.ended, false)
    return originResponse({ body: Readable.from(both(body)) })
  })
  async function* both({ beginning, rest }: PassThroughRequest['body']) {
    yield beginning
    yield* rest
  }
  const { socket, received } = connection(t, url)
  socket.write('POST /a/git-receive-pack HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
  const piece = 'x'.repeat(100_000)
  for (let count = 1; count <= 5; count++) {
    socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`)
    await eventually('it comes back before the next is sent', () => xs(received()) >= count * piece.length)
  }
  socket.write('0\r\n\r\n')
  await eventually('the end', () => received().endsWith('\r\n0\r\n\r\n'))
})

const xs = (text: string): number => text.split('x').length - 1

t.test('an origin may answer before it has read the body, and the connection lives on', async (t) => {
  const { url, calls } = await open(t, ({ method }) =>
    originResponse({ status: method === 'PUT' ? 507 : 200 }),
  )
  const { socket, received } = connection(t, url)
  const piece = 'x'.repeat(100_000)
  socket.write(
    `PUT /a/info/lfs/objects/1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * piece.length}\r\n\r\n`,
  )
  socket.write(piece)
  await eventually('the answer', () => received().startsWith('HTTP/1.1 507 '))
  for (let count = 1; count < 10; count++) socket.write(piece)
  socket.write('GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually('the next answer', () => received().includes('HTTP/1.1 200 OK'))
  t.same(calls, ['passThrough PUT a', 'passThrough GET a/b'])
})

t.test('so may one that fails', async (t) => {
  const { url } = await open(t, () => {
    throw new UpstreamUnavailable('git.example.com: refused', { retryAfterMs: 3000 })
  })
  const { socket, received } = connection(t, url)
  const piece = 'x'.repeat(1_000_000)
  socket.write(`POST /a/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: ${piece.length}\r\n\r\n`)
  socket.write(piece.slice(100_000))
  await eventually('the answer', () => /^HTTP\/1.1 503 [^]*Retry-After: 3\r\n/.test(received()))
  t.match(
    received(),
    /refstream: the upstream server cannot answer now \(git.example.com: refused\); try again later/,
  )
  socket.write(`${piece.slice(-100_000)}GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n`)
  await eventually('the next answer', () => received().split('HTTP/1.1 503').length === 3)
})

t.test('a refusal of the origin is sent as it is', async (t) => {
  const headers = [
    'WWW-Authenticate',
    'Basic realm="a"',
    'WWW-Authenticate',
    'Bearer',
    'Content-Type',
    'text/x',
  ]
  const { url, counted } = await open(t, () => {
    throw new UpstreamRefusal(401, headers, Buffer.from('who?'))
  })
  const answer = await ask(`${url}/a/info/refs?service=git-receive-pack`)
  t.match(answer, { status: 401, headers: { 'cache-control': /no-cache/, 'content-type': 'text/x' } })
  t.equal(answer.body.toString(), 'who?')
  const challenges = answer.rawHeaders.filter((_, at, all) => all[at - 1] === 'WWW-Authenticate')
  t.same(challenges, ['Basic realm="a"', 'Bearer'])
  t.equal(await counted({ outcome: 'unauthenticated' }), 1)
})

t.test('an answer that breaks off is seen to be broken', async (t) => {
  const { url, counted } = await open(t, () =>
    originResponse({
      body: Readable.from(
        (async function* () {
          yield Buffer.from('abc')
          throw new UpstreamUnavailable('reset')
        })(),
      ),
    }),
  )
  await t.rejects(ask(`${url}/a/b`), { code: 'ECONNRESET' })
  await eventually('counted', async () => (await counted({ outcome: 'error' })) === 1)
})

t.test('a request whose repository was exchanged is passed on again with its whole body', async (t) => {
  let tries = 0
  const { url } = await open(t, (request) => {
    if (tries++ === 0) throw new RepositoryExchanged()
    return echo(request, { path: '' })
  })
  const body = 'x'.repeat(300_000)
  const answer = await ask(`${url}/a/git-receive-pack`, { method: 'POST', body })
  t.equal(answer.body.toString() === body, true)
})

t.test('a client that leaves aborts what does not change anything', async (t) => {
  const { url } = await openServer(t, {
    origin: {
      passThrough: async (_: Target, __: PassThroughRequest, { signal }: { signal: AbortSignal }) => {
        left = once(signal, 'abort')
        return originResponse({ body: new Readable({ read() {}, signal }) })
      },
    } as never,
  })
  let left: Promise<unknown> | undefined
  const { socket } = connection(t, url)
  socket.write('GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually('asked', () => left !== undefined)
  socket.destroy()
  await left
})
