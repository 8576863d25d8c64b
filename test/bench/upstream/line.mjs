// A TCP line with a delay and a speed: what `tc netem` does where a kernel has it. Counts what passes.
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { setTimeout } from 'node:timers'
import { now } from '../marker.mjs'

/** What arrives over one connection, in its order: timers of the same millisecond have none. */
class Arrivals {
  #queue = []

  add(time, run) {
    if (this.#queue.length === 0 && time <= now()) return run()
    this.#queue.push({ time, run })
    if (this.#queue.length === 1) this.#wait()
  }

  #wait() {
    setTimeout(
      () => {
        while (this.#queue.length > 0 && this.#queue[0].time <= now()) this.#queue.shift().run()
        if (this.#queue.length > 0) this.#wait()
      },
      Math.max(0, this.#queue[0].time - now()),
    )
  }
}

/** One direction: bytes leave one after the other at the line's speed, and arrive after its delay. */
class Direction {
  bytes = 0
  #oneWayMs
  #bytesPerMs
  #freeAt = 0

  constructor(oneWayMs, bytesPerMs) {
    this.#oneWayMs = oneWayMs
    this.#bytesPerMs = bytesPerMs
  }

  /** Passes what comes from one socket on to another. @param openAt when the connection is there for its first bytes */
  connect(from, to, openAt, seen) {
    const arrivals = new Arrivals()
    let lastAt = openAt
    let ended = false
    from.on('data', (chunk) => {
      seen?.(chunk)
      this.bytes += chunk.length
      const begins = Math.max(now(), this.#freeAt)
      this.#freeAt = begins + chunk.length / this.#bytesPerMs
      const queuedMs = this.#freeAt - now()
      // A router's queue is not endless.
      if (queuedMs > 50) {
        from.pause()
        setTimeout(() => from.resume(), queuedMs - 25)
      }
      lastAt = Math.max(lastAt, this.#freeAt + this.#oneWayMs)
      arrivals.add(lastAt, () => to.write(chunk))
    })
    const end = () => {
      if (ended) return
      ended = true
      arrivals.add(Math.max(lastAt, now() + this.#oneWayMs), () => to.end())
    }
    from.on('end', end)
    from.on('error', () => to.destroy())
    from.on('close', end)
  }
}

export class Line {
  url = ''
  /** When each request came, its first line, and when the first byte of its answer came. */
  requests = []
  connections = 0
  #out
  #back
  #server
  #sockets = new Set()

  static async open(target, { roundTripMs = 0, bitsPerSecond = Infinity } = {}) {
    const line = new Line(new URL(target), roundTripMs, bitsPerSecond / 8000)
    line.#server.listen(0, '127.0.0.1')
    await once(line.#server, 'listening')
    line.url = `http://127.0.0.1:${line.#server.address().port}`
    return line
  }

  /** @private */
  constructor({ hostname, port }, roundTripMs, bytesPerMs) {
    this.#out = new Direction(roundTripMs / 2, bytesPerMs)
    this.#back = new Direction(roundTripMs / 2, bytesPerMs)
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      this.connections++
      const far = createConnection({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true })
      for (const socket of [near, far])
        this.#sockets.add(socket.once('close', () => this.#sockets.delete(socket)))
      let last
      const asked = (chunk) => (last = this.#count(chunk) ?? last)
      const answered = () => (last &&= void (last.answeredAt = now()))
      // TCP's handshake costs a round trip before the first byte leaves.
      this.#out.connect(near, far, now() + (roundTripMs * 3) / 2, asked)
      this.#back.connect(far, near, 0, answered)
    })
  }

  /** Neither Git nor refstream sends a request before it has the answer to the one before. */
  #count(chunk) {
    const [, line] = /^((?:GET|POST) \S+) HTTP/.exec(chunk.toString('latin1', 0, 400)) ?? []
    if (!line) return undefined
    const request = { at: now(), line, answeredAt: Infinity }
    this.requests.push(request)
    return request
  }

  /** What has passed so far: bytes of TCP's payload in both directions, requests, connections. */
  get passed() {
    const bytes = this.#out.bytes + this.#back.bytes
    return { bytes, requests: this.requests.length, connections: this.connections }
  }

  close() {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
