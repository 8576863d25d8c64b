import type { ServerResponse } from 'node:http'

/** Most bytes that wait for a listener before it counts as slow. */
const waitingMax = 1024 * 1024
/** Milliseconds after which a stream ends: its listener asks again, and its token is checked again. */
const lifetimeMs = 600_000

/** A response of server-sent events (WHATWG HTML, section 9.2). */
export class EventStream {
  readonly #response: ServerResponse
  readonly #until = performance.now() + lifetimeMs

  /** Sends the head. @param closed called once, when the listener has gone or was dropped */
  constructor(response: ServerResponse, closed: () => void) {
    this.#response = response
    response.on('error', () => {})
    response.on('close', closed)
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      // nginx would keep events back.
      'X-Accel-Buffering': 'no',
    })
    response.flushHeaders()
  }

  /** Sends an event, unless the listener is slow: then it is dropped. @param data JSON on one line */
  send(event: string, data: string): void {
    if (this.#response.writableLength > waitingMax) this.#response.destroy()
    else if (performance.now() > this.#until) this.#response.end()
    else this.#response.write(`event: ${event}\ndata: ${data}\n\n`)
  }
}
