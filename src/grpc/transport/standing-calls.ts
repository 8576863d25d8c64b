import type { Http2Session } from 'node:http2'
import {
  status,
  type Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { http2StreamOf } from './http2-stream.js'

type StandingCall = ServerDuplexStream<unknown, unknown>
type Handler = (call: StandingCall) => void

/**
 * Limits, per connection, calls that stay open as long as their clients want (health Watch, reflection). These services
 * need no credentials.
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

  /** Adds a service with these methods as standing calls. */
  addService(methods: readonly string[], add: (server: Pick<Server, 'addService'>) => void): void {
    const addService = (definition: ServiceDefinition, handlers: UntypedServiceImplementation): void => {
      const wrapped = Object.entries(handlers).map(([name, handler]) => {
        const isStanding = methods.some((method) => method.toLowerCase() === name.toLowerCase())
        return [name, isStanding ? this.#limit(handler as Handler) : handler]
      })
      this.#server.addService(definition, Object.fromEntries(wrapped) as UntypedServiceImplementation)
    }
    add({ addService })
  }

  /** Ends all standing calls. */
  end(): void {
    for (const call of this.#calls) {
      call.emit('error', { code: status.UNAVAILABLE, details: 'refstream is shutting down' })
    }
  }

  #limit(handler: Handler): Handler {
    return (call) => {
      const { session } = http2StreamOf(call) ?? {}
      if (session && !this.#count(session, call)) {
        const details = `this connection has ${this.#max} standing calls already`
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

/** Reads the next request only when the answer to the last one has been taken (back-pressure). */
function answerOneByOne(call: StandingCall): void {
  const write = call.write.bind(call) as (message: unknown, done: () => void) => boolean
  call.write = (message: unknown): boolean => {
    call.pause()
    return write(message, () => call.resume())
  }
}
