import type { Http2Session } from 'node:http2'
import {
  status,
  type Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { http2Stream } from './http2-stream.js'

type StandingCall = ServerDuplexStream<unknown, unknown>
type Handler = (call: StandingCall) => void

/**
 * Calls that last for as long as their clients like, and wait for news only: of somebody else's services, to which no
 * credentials are needed. So many may be on one connection.
 */
export class StandingCalls {
  readonly #server: Server
  readonly #max: number
  readonly #calls = new Set<StandingCall>()
  readonly #counts = new WeakMap<Http2Session, number>()

  /** @param max calls of one connection; more end in RESOURCE_EXHAUSTED */
  constructor(server: Server, max: number) {
    this.#server = server
    this.#max = max
  }

  /** Adds a service of which these methods are such calls. */
  addService(methods: readonly string[], add: (server: Pick<Server, 'addService'>) => void): void {
    const addService = (definition: ServiceDefinition, handlers: UntypedServiceImplementation): void => {
      const wrapped = Object.entries(handlers).map(([name, handler]) => {
        const stands = methods.some((method) => method.toLowerCase() === name.toLowerCase())
        return [name, stands ? this.#remember(handler as Handler) : handler]
      })
      this.#server.addService(definition, Object.fromEntries(wrapped) as UntypedServiceImplementation)
    }
    add({ addService })
  }

  /** Ends all of them. */
  end(): void {
    for (const call of this.#calls) {
      call.emit('error', { code: status.UNAVAILABLE, details: 'refstream is shutting down' })
    }
  }

  #remember(handler: Handler): Handler {
    return (call) => {
      const { session } = http2Stream((call as unknown as { call?: unknown }).call) ?? {}
      if (session && !this.#count(session, call)) {
        const details = `this connection has ${this.#max} calls already that wait for news`
        call.emit('error', { code: status.RESOURCE_EXHAUSTED, details })
        return
      }
      this.#calls.add(call)
      call.once('close', () => this.#calls.delete(call))
      if ('resume' in call) answerOneByOne(call)
      handler(call)
    }
  }

  #count(session: Http2Session, call: StandingCall): boolean {
    const count = this.#counts.get(session) ?? 0
    if (count >= this.#max) return false
    this.#counts.set(session, count + 1)
    call.once('close', () => this.#counts.set(session, (this.#counts.get(session) ?? 0) - 1))
    return true
  }
}

/** A client that asks and asks, and takes no answer, is not asked for more. */
function answerOneByOne(call: StandingCall): void {
  const write = call.write.bind(call) as (message: unknown, done: () => void) => boolean
  call.write = (message: unknown): boolean => {
    call.pause()
    return write(message, () => call.resume())
  }
}
