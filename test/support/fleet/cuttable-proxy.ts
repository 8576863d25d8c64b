import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Passes bytes on to a port of this host, until it is cut. */
export interface CuttableProxy {
  readonly port: number
  /** Resets all connections, and all new ones until `mend`. */
  cut(): void
  mend(): void
}

export async function startCuttableProxy(t: Test, target: number): Promise<CuttableProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  const add = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
  }
  const server = createServer((socket) => {
    add(socket)
    if (isCut) return void socket.resetAndDestroy()
    const other = add(connect(target, '127.0.0.1'))
    socket.pipe(other).pipe(socket)
    socket.once('close', () => other.destroy())
    other.once('close', () => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    isCut = true
    for (const socket of sockets) socket.resetAndDestroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, cut, mend: () => void (isCut = false) }
}
