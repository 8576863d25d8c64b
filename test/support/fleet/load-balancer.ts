import type { Test } from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A node as a load balancer knows it. */
export interface Backend {
  readonly url: string
  readonly adminUrl: string
}

export interface LoadBalancer {
  readonly url: string
  /** Nodes whose last /readyz was 200. */
  readonly ready: number
}

const checkMs = 20

/**
 * Starts a load balancer on TCP, which ends with the test: connections go round-robin to nodes that are ready. If a node does not
 * accept a connection, the next one gets it; nothing is sent twice.
 * @param backends asked for again and again, since a node that was restarted listens elsewhere
 */
export async function startLoadBalancer(t: Test, backends: () => readonly Backend[]): Promise<LoadBalancer> {
  let ready: readonly Backend[] = []
  let isEnded = false
  let turn = 0
  const check = async (): Promise<void> => {
    while (!isEnded) {
      const asked = backends().map(async (backend) => {
        const isReady = await fetch(`${backend.adminUrl}/readyz`).then(
          async (answer) => (await answer.text(), answer.status === 200),
          () => false,
        )
        return isReady ? [backend] : []
      })
      ready = (await Promise.all(asked)).flat()
      await sleep(checkMs)
    }
  }
  const checking = check()
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (near) => void forward(near))
  const forward = async (near: Socket): Promise<void> => {
    near.on('error', () => {})
    track(sockets, near)
    const tries = [...ready]
    const first = turn++
    for (let index = 0; index < tries.length; index++) {
      const { hostname, port } = new URL(tries[(first + index) % tries.length]!.url)
      const far = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
      const isConnected = await once(far, 'connect').then(
        () => true,
        () => false,
      )
      if (!isConnected) continue
      track(sockets, far)
      far.on('error', () => near.resetAndDestroy())
      near.on('close', () => far.destroy())
      near.pipe(far)
      far.pipe(near)
      return
    }
    near.resetAndDestroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    isEnded = true
    for (const socket of sockets) socket.destroy()
    server.close()
    await checking
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get ready() {
      return ready.length
    },
  }
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
}
