import type { Test } from 'tap'
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type SecureClientSessionOptions,
} from 'node:http2'
import { fileURLToPath } from 'node:url'
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  status,
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientReadableStream,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const protoDirectory = fileURLToPath(new URL('../../src/grpc/proto/', import.meta.url))

/** The services of the server, read from its proto files as a client would. */
export const definitions = loadSync(
  ['ref_service', 'lease_service', 'cache_service', 'gitaly_smart_http', 'status'].map(
    (name) => `${protoDirectory}${name}.proto`,
  ),
  { longs: Number, defaults: true },
)

export type Message = Record<string, unknown>
type StreamMethod = (
  request: object,
  metadata: Metadata,
  options: CallOptions,
) => ClientReadableStream<Message>
type UnaryMethod = (
  request: object,
  metadata: Metadata,
  callback: (error: ServiceError | null, reply: Message) => void,
) => unknown

/** How a client identifies itself. */
export interface Identity {
  /** Sent with every call. */
  readonly metadata?: Record<string, string>
  /** For TLS; undefined: plain text. */
  readonly credentials?: ChannelCredentials
}

/** A client of one service, with calls by name. Closed with the test. */
export class GrpcClient {
  readonly #client: Client
  readonly #metadata = new Metadata()

  constructor(
    t: Test,
    target: string,
    service: string | ServiceDefinition,
    options: object = {},
    identity: Identity = {},
  ) {
    const definition = typeof service === 'string' ? (definitions[service] as ServiceDefinition) : service
    const Constructor = makeGenericClientConstructor(definition, 'service')
    // Each client has its own connection.
    const own = { 'grpc.use_local_subchannel_pool': 1, ...options }
    this.#client = new Constructor(target, identity.credentials ?? credentials.createInsecure(), own)
    for (const [name, value] of Object.entries(identity.metadata ?? {})) this.#metadata.set(name, value)
    t.teardown(() => this.#client.close())
  }

  stream(method: string, request: object, options: CallOptions = {}): ClientReadableStream<Message> {
    const client = this.#client as unknown as Record<string, StreamMethod>
    return client[method]!(request, this.#metadata, options)
  }

  /** Resolves with all messages of a stream. Rejects with its status unless that is OK. */
  async all(method: string, request: object, options: CallOptions = {}): Promise<Message[]> {
    const messages: Message[] = []
    for await (const message of this.stream(method, request, options)) messages.push(message as Message)
    return messages
  }

  /** Resolves with the bytes of a stream of `data`. */
  async bytes(method: string, request: object, options: CallOptions = {}): Promise<Buffer> {
    return Buffer.concat((await this.all(method, request, options)).map(({ data }) => data as Buffer))
  }

  close(): void {
    this.#client.close()
  }

  unary(method: string, request: object): Promise<Message> {
    const client = this.#client as unknown as Record<string, UnaryMethod>
    return new Promise((resolve, reject) => {
      client[method]!(request, this.#metadata, (error, reply) => (error ? reject(error) : resolve(reply)))
    })
  }
}

/**
 * Makes a call over plain HTTP/2, whose response flows only while it is read: grpc-js itself always reads on. The
 * connection is closed with the test, and uses TLS if `ca` is given.
 */
export function rawCall(
  t: Test,
  target: string,
  path: string,
  request: object,
  headers: Record<string, string> = {},
  options: ClientSessionOptions | SecureClientSessionOptions = {},
): ClientHttp2Stream {
  const session = connect(`${'ca' in options ? 'https' : 'http'}://${target}`, options)
  return rawCallOn(t, session, path, request, headers)
}

/** The same on an existing connection. */
export function rawCallOn(
  t: Test,
  session: ClientHttp2Session,
  path: string,
  request: object,
  headers: Record<string, string> = {},
): ClientHttp2Stream {
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  const [service = '', method = ''] = path.slice(1).split('/')
  const message = (definitions[service] as ServiceDefinition)[method]!.requestSerialize(request)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  stream.on('error', () => {})
  stream.end(Buffer.concat([head, message]))
  return stream
}

/** Resolves with the error of a call that must fail. */
export async function errorOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call
  } catch (error) {
    return error as ServiceError
  }
  throw new Error('the call succeeded')
}

/** Resolves with the status name of a call that must fail. */
export const codeOf = async (call: Promise<unknown>): Promise<string | undefined> =>
  status[(await errorOf(call)).code]

/** Returns the seconds of the RetryInfo in an error's details; undefined: there is none. */
export function retrySeconds(error: ServiceError): number | undefined {
  const [bytes] = error.metadata.get('grpc-status-details-bin')
  if (!bytes) return undefined
  const { code, message, details } = decode('google.rpc.Status', bytes as Buffer)
  const [detail] = details as { type_url: string; value: Buffer }[]
  if (code !== error.code || message !== error.details) throw new Error('the details differ from the status')
  if (detail?.type_url !== 'type.googleapis.com/google.rpc.RetryInfo') return undefined
  const { retryDelay } = decode('google.rpc.RetryInfo', detail.value) as { retryDelay: Message }
  return (retryDelay['seconds'] as number) + (retryDelay['nanos'] as number) / 1e9
}

const decode = (name: string, bytes: Buffer): Message =>
  (definitions[name] as { deserialize: (bytes: Buffer) => Message }).deserialize(bytes)
