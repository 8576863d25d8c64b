// Where contenders listen, and when they do.
import { createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A port on loopback that was free a moment ago. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Does a program listen there? */
const listens = (where) =>
  new Promise((resolve) => {
    const socket = createConnection(where, () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })

/** Waits until a program listens there. @throws if the child that should has ended */
export async function listening(where, child) {
  const deadline = performance.now() + 30_000
  while (!(await listens(where))) {
    const gone = child.exitCode !== null || child.signalCode !== null
    if (gone || performance.now() > deadline) throw new Error(`did not start: ${child.spawnargs.join(' ')}`)
    await sleep(2)
  }
}
