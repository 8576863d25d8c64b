import type { Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { request, type IncomingMessage } from 'node:http'
import { PeerClient, type PeerClientOptions } from '../../../src/fleet/peers/client/peer-client.js'
import type { AnsweredEntry, FaultCodec, PeerAnswer, PeerAnswerer } from '../../../src/fleet/peers/peer.js'
import { Prover, sha256Of } from '../../../src/fleet/peers/protocol/proof.js'
import {
  entriesPath,
  headersOf,
  noSession,
  sessionHeader,
} from '../../../src/fleet/peers/protocol/request-head.js'
import { PeerServer, type PeerServerOptions } from '../../../src/fleet/peers/server/peer-server.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { FakeClock } from '../fake-clock.js'
import { ManualProducer, producerOf } from '../producers.js'
import { no, openCache, yes } from '../stream-cache.js'

export const fleetSecret = 'a secret of the fleet'

/** An error that another node has told of. */
export class ToldError extends Error {
  readonly code: string
  readonly details: unknown

  constructor(code: string, message: string, details: unknown) {
    super(message)
    this.code = code
    this.details = details
  }
}

export const codec: FaultCodec = {
  encode: (error) => ({ code: 'test', message: (error as Error).message, details: { of: 'test' } }),
  // A code as errors of connections have one, which this is not.
  decode: ({ code, message, details }) => new ToldError(code, message, details),
}

/** A clock that counts how often it was asked to call. */
export class CountingClock extends FakeClock {
  set = 0

  override after(ms: number, call: () => void): () => void {
    this.set++
    return super.after(ms, call)
  }
}

/** Lines of a log, as they were written. */
export function recordingLog() {
  const lines: string[] = []
  return { lines, log: createLog('info', { write: (line) => void lines.push(line) }) }
}

/** Starts a server of node `b`, which ends with the test. */
export async function startServer(
  t: Test,
  answerer: Partial<PeerAnswerer> | PeerAnswerer['answer'],
  changes: Partial<PeerServerOptions> & { path?: string } = {},
) {
  const metrics = new Metrics()
  const { lines, log } = recordingLog()
  const given = typeof answerer === 'function' ? { answer: answerer } : answerer
  const { path, ...options } = changes
  const server = new PeerServer({
    node: 'b',
    secret: path === undefined ? fleetSecret : undefined,
    isLocal: path !== undefined,
    answerer: {
      answer: () => Promise.reject(new Error('not asked')),
      hear: () => {},
      ...given,
    },
    ...{ codec, metrics, log },
    ...options,
  })
  t.teardown(() => server.close())
  const url = await server.listen(path === undefined ? { host: '127.0.0.1', port: 0 } : { path })
  return { server, url, metrics, lines }
}

/** Creates a client of node `a` for a node `b` at that address, or for some members. */
export function createClient(
  t: Test,
  members: string | PeerClientOptions['members'],
  changes: Partial<PeerClientOptions> = {},
) {
  const metrics = new Metrics()
  const { lines, log } = recordingLog()
  const list = typeof members === 'string' ? [{ name: 'b', ...addressOf(members) }] : members
  const secret = list.every((member) => 'path' in member) ? undefined : fleetSecret
  const client = new PeerClient({ node: 'a', members: list, secret, codec, metrics, log, ...changes })
  t.teardown(() => client.close())
  return { client, metrics, lines }
}

const addressOf = (url: string): { url: string } | { path: string } =>
  url.startsWith('unix:') ? { path: url.slice('unix:'.length) } : { url }

/** Never aborts. */
export const unending = (): AbortSignal => new AbortController().signal

/** Reads an answer's body to its end. @throws the error that it ends with */
export async function bytesOfAnswer({ body }: PeerAnswer): Promise<Buffer> {
  if (body === 'unchanged') throw new Error('the answer is unchanged')
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** An entry as it is answered, with nothing else known of it. */
export const answerWith = (follower: AnsweredEntry['follower']): AnsweredEntry => ({
  follower,
  sha256: undefined,
  ageMs: 0,
})

/** A request as nodes send it, made by hand. */
export function rawRequest(changes: { session?: string; to?: string; body?: string; secret?: string } = {}) {
  const { session = noSession, to = 'b', body = '{}', secret = fleetSecret } = changes
  const head = {
    ...{ from: 'a', to, session, have: undefined, bodySha256: sha256Of(Buffer.from(body)) },
    nonce: randomBytes(16).toString('hex'),
  }
  const proof = new Prover(secret).request({ ...head, method: 'POST', path: entriesPath })
  return { headers: headersOf({ ...head, proof, length: Buffer.byteLength(body) }), body, proof }
}

/** Sends such a request, and resolves with the response's status, session and body. */
export function sendRaw(
  url: string,
  { headers, body }: { headers: Record<string, string | number>; body: string },
  path = entriesPath,
  method = 'POST',
): Promise<{ status: number; session: string | undefined; connection: string | undefined; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { connection: 'keep-alive', ...headers }, agent: false }
    const sent = request(url + path, options, (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          session: response.headers[sessionHeader] as string | undefined,
          connection: response.headers.connection,
          body: Buffer.concat(chunks),
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Returns the value of a counter of peers. */
export async function counted(metrics: Metrics, direction: string, result: string): Promise<number> {
  const { values } = await metrics.fleetPeerRequests.get()
  const found = values.find(({ labels }) => labels.direction === direction && labels.result === result)
  return found?.value ?? 0
}

/** Returns the chunks of an answer's body. */
export function chunksOf(body: PeerAnswer['body']): AsyncIterator<Buffer> {
  if (body === 'unchanged') throw new Error('the answer is unchanged')
  return body[Symbol.asyncIterator]()
}

/** An answerer whose answers are these bytes, each time from a new entry. */
export async function answering(t: Test, ...chunks: (Buffer | string)[]) {
  const { cache } = await openCache(t)
  return async (): Promise<AnsweredEntry> => ({
    ...answerWith(cache.fill('key', undefined, producerOf(...chunks), no).entry.follow()),
    ageMs: 7,
    notes: () => ({ seen: 'all' }),
  })
}

/** A fill that the test controls, and an answerer that follows it. */
export async function growing(t: Test) {
  const { cache } = await openCache(t)
  const producer = new ManualProducer()
  const { entry } = cache.fill('key', 'token', producer.run, yes)
  return { entry, producer, answer: async () => answerWith(entry.follow()) }
}
