import { chmodSync, rmSync, statSync } from 'node:fs'
import { createConnection, type AddressInfo, type ListenOptions, type Server } from 'node:net'
import { urlOf, type Address, type UnixAddress } from '../../../config/values/addresses.js'

/**
 * Makes a server listen with a socket of this process's own (`exclusive`): in a worker of Node's cluster, the primary would
 * else hold the socket, and connections to a worker that has died would not be refused.
 * @returns the URL, or `unix:/path`; rejects if it cannot listen there
 */
export async function listenAt(server: Server, address: Address | UnixAddress): Promise<string> {
  if ('path' in address) {
    await removeLeftSocket(address.path)
    await started(server, { path: address.path, exclusive: true })
    chmodSync(address.path, 0o600)
    return urlOf(address)
  }
  await started(server, { host: address.host, port: address.port, exclusive: true })
  const { address: host, port } = server.address() as AddressInfo
  return urlOf({ ...address, host, port })
}

function started(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Removes a socket that a process has left that was killed. @throws Error if a process listens there */
async function removeLeftSocket(path: string): Promise<void> {
  if (!statSync(path, { throwIfNoEntry: false })?.isSocket()) return
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code))
  })
  if (code !== 'ECONNREFUSED') throw new Error(`another process listens at ${path}`)
  rmSync(path, { force: true })
}
