import { chmodSync, rmSync, statSync } from 'node:fs'
import { lookup } from 'node:dns/promises'
import { createConnection, type AddressInfo, type Server } from 'node:net'
import { socketMode, urlOf, type Address, type UnixAddress } from '../config/values/addresses.js'
import { ConfigError } from '../config/values/config-error.js'

/**
 * Makes a server listen on an address. In a worker of Node's cluster, its siblings listen there too. For a `tls:` address, the server is one that accepts TLS (tls-terminator.ts).
 * @param hasSiblings are there workers already that listen there, or have done so?
 * @param descriptor that of a socket which listens there already (passed-sockets.ts); undefined: there is none
 * @param mode permissions of the file of a Unix socket
 * @returns the URL at which it listens, or `unix:/path`
 * @throws ConfigError that names the option if the server cannot listen there
 */
export async function listen(
  server: Server,
  address: Address | UnixAddress,
  option: string,
  hasSiblings = false,
  descriptor?: number,
  mode = socketMode,
): Promise<string> {
  try {
    if (descriptor !== undefined) return await listenOnPassed(server, address, descriptor)
    if ('path' in address) {
      await listenOnSocket(server, address, hasSiblings, mode)
      return urlOf(address)
    }
    await started(server, () => server.listen(address.port, address.host))
    const { address: host, port } = server.address() as AddressInfo
    return urlOf({ ...address, host, port })
  } catch (error) {
    const message = `--${option}: cannot listen on ${written(address)}: ${(error as Error).message}`
    throw new ConfigError(message, { cause: error })
  }
}

const written = (address: Address | UnixAddress): string =>
  'path' in address ? `unix:${address.path}` : `${address.tls ? 'tls:' : ''}${address.host}:${address.port}`

/**
 * Accepts connections of a socket that another process has opened, and may hold longer than this one lives.
 * @throws Error if it does not listen on the address: what may be done there depends on who can reach it
 */
async function listenOnPassed(
  server: Server,
  address: Address | UnixAddress,
  descriptor: number,
): Promise<string> {
  await started(server, () => server.listen({ fd: descriptor }))
  // Node knows no address of a Unix socket that it has not bound.
  const actual = server.address() as AddressInfo | null
  try {
    if ('path' in address) {
      if (actual) throw new Error(`the socket that systemd has passed listens on ${socketText(actual)}`)
      return urlOf(address)
    }
    if (!actual) throw new Error('the socket that systemd has passed is a Unix socket')
    const { address: host } = await lookup(address.host)
    if (actual.address !== host || (address.port !== 0 && actual.port !== address.port))
      throw new Error(
        `the socket that systemd has passed listens on ${socketText(actual)}: make ListenStream= and the setting agree`,
      )
    return urlOf({ ...address, host, port: actual.port })
  } catch (error) {
    server.close()
    throw error
  }
}

const socketText = ({ address, port }: AddressInfo): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`

async function listenOnSocket(
  server: Server,
  { path }: UnixAddress,
  hasSiblings: boolean,
  mode: number,
): Promise<void> {
  const existing = statSync(path, { throwIfNoEntry: false })
  if (existing && !existing.isSocket()) throw new Error('a file that is not a socket is there')
  // A sibling's socket is in use, and is not another process's.
  if (!hasSiblings && existing) {
    if (await isInUse(path)) throw new Error('another process listens there')
    // Left over by a process that was killed.
    rmSync(path)
  }
  await started(server, () => server.listen(path))
  try {
    chmodSync(path, mode)
  } catch (error) {
    server.close()
    throw error
  }
}

function started(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
    start()
  })
}

/**
 * Resolves with whether a process listens on a socket. Only ECONNREFUSED means that none does: a process may be too busy to
 * accept (EAGAIN), or belong to another user (EACCES).
 */
function isInUse(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'))
  })
}
