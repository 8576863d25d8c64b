import { chmodSync, rmSync, statSync } from 'node:fs'
import { createConnection, type AddressInfo, type Server } from 'node:net'
import type { Address, UnixAddress } from '../config/options.js'
import { ConfigError } from '../config/settings.js'

/**
 * Opens a server's door. For a `tls:` address, the server is what takes TLS connections (assembly/tls.ts).
 * @returns where it is: a URL, or `unix:/path`
 * @throws ConfigError that names the option if it cannot be opened there
 */
export async function listen(
  server: Server,
  address: Address | UnixAddress,
  option: string,
): Promise<string> {
  const name =
    'path' in address ? `unix:${address.path}` : `${address.tls ? 'tls:' : ''}${address.host}:${address.port}`
  try {
    if ('path' in address) return await listenOnSocket(server, address)
    await started(server, () => server.listen(address.port, address.host))
    const { address: host, family, port } = server.address() as AddressInfo
    return `${address.tls ? 'https' : 'http'}://${family === 'IPv6' ? `[${host}]` : host}:${port}`
  } catch (error) {
    const message = `--${option}: cannot listen on ${name}: ${(error as Error).message}`
    throw new ConfigError(message, { cause: error })
  }
}

async function listenOnSocket(server: Server, { path }: UnixAddress): Promise<string> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket()) {
    if (await answers(path)) throw new Error('another process listens there')
    // A process that ended without a word has left it.
    rmSync(path)
  }
  await started(server, () => server.listen(path))
  try {
    // For its owner and group: whoever may connect may open leases.
    chmodSync(path, 0o660)
  } catch (error) {
    server.close()
    throw error
  }
  return `unix:${path}`
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

/** Only a refusal says that nobody listens; a process may also be too busy (EAGAIN), or somebody else's (EACCES). */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'))
  })
}
