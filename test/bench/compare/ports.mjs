// Where contenders listen, and when they do.
import { readFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { loopback, network } from './network.mjs'

/** A port on loopback that was free a moment ago. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Does a program listen on that port in the network namespace of a process? proc_pid_net(5); state 0A is TCP_LISTEN. */
function listensBeside(pid, port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  try {
    return new RegExp(`:${hex} \\S+ 0A `).test(readFileSync(`/proc/${pid}/net/tcp`, 'utf8'))
  } catch {
    // It has ended, which will be seen next.
    return false
  }
}

/** Does a program listen there? From here, no connection can be made to other network namespaces. */
const listens = (where, pid) =>
  new Promise((resolve) => {
    if (where.port && network() !== loopback) return resolve(listensBeside(pid, where.port))
    const socket = createConnection(where, () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })

/** Waits until a program listens there. @throws if the child that should has ended */
export async function listening(where, child) {
  const deadline = performance.now() + 30_000
  const isGone = () => child.exitCode !== null || child.signalCode !== null
  while (isGone() || !(await listens(where, child.pid))) {
    if (isGone() || performance.now() > deadline)
      throw new Error(`did not start: ${child.spawnargs.join(' ')}`)
    await sleep(2)
  }
}
