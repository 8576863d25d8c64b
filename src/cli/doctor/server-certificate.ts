import { isIP } from 'node:net'
import { connect } from 'node:tls'

/** Milliseconds for connecting and the handshake. */
const handshakeMs = 5000

/**
 * Resolves with the time at which the certificate expires that a server shows, in milliseconds since 1970; undefined: it is
 * not known. Whether the certificate is to be trusted is not checked, and nothing is sent. Never rejects.
 * @param url of scheme https:
 */
export function serverExpiry(url: URL): Promise<number | undefined> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || 443)
  return new Promise((resolve) => {
    const socket = connect({
      ...{ host, port, rejectUnauthorized: false },
      ...(isIP(host) === 0 && { servername: host }),
    })
    const finish = (expiresMs?: number): void => {
      socket.destroy()
      resolve(expiresMs)
    }
    socket.setTimeout(handshakeMs, () => finish())
    socket.on('error', () => finish())
    socket.once('secureConnect', () => {
      const { validTo } = socket.getPeerX509Certificate() ?? {}
      const expiresMs = Date.parse(validTo ?? '')
      finish(Number.isNaN(expiresMs) ? undefined : expiresMs)
    })
  })
}
