import type { Test } from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A proxy for any protocol on TCP, which can do what a bad network does. */
export interface TcpProxy {
  readonly host: string
  readonly port: number
  /** Connections that were accepted so far. */
  readonly accepted: number
  /** Nothing gets through any more, in either direction, and nothing ends. */
  stall(): void
  /** What was held back gets through, and all that follows. */
  resume(): void
  /** Resets all connections. */
  cut(): void
  /** Resets new connections at once, until `accept`. */
  refuse(): void
  accept(): void
}

/** Starts a proxy, which ends with the test. @param port of the server on 127.0.0.1 */
export async function startTcpProxy(t: Test, port: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const counts = { accepted: 0 }
  let isStalled = false
  let isRefusing = false
  const server = createServer((near) => {
    counts.accepted++
    if (isRefusing) return void near.resetAndDestroy()
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      sockets.add(from)
      from.on('data', (data) => to.write(data))
      from.on('error', () => {})
      from.once('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      if (isStalled) from.pause()
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  return {
    ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    get accepted() {
      return counts.accepted
    },
    stall: () => {
      isStalled = true
      for (const socket of sockets) socket.pause()
    },
    resume: () => {
      isStalled = false
      for (const socket of sockets) socket.resume()
    },
    cut,
    refuse: () => void (isRefusing = true),
    accept: () => void (isRefusing = false),
  }
}
