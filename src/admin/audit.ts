import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseCredentials } from '../access/credentials.js'
import type { Tokens } from '../access/tokens.js'
import { leaseDigest } from '../service/lease-digest.js'
import { printablePath } from '../telemetry/printable-path.js'
import type { Log } from '../telemetry/log.js'
import type { Reply } from './endpoint.js'

const leaseEvents: Readonly<Record<string, string>> = { POST: 'open', PUT: 'renew', DELETE: 'end' }

/** Returns the event of the audit trail that a request to the admin API is; undefined: none. */
function eventOf(method: string, path: string, status: number): string | undefined {
  if (status === 401) return 'refstream.login.refused'
  if (path.startsWith('/v1/webhooks/')) return status === 403 ? 'refstream.webhook.refused' : undefined
  if (path === '/v1/invalidate') return 'refstream.invalidate'
  const change = /^\/v1\/leases(?:\/[^/]*)?$/.test(path) ? leaseEvents[method] : undefined
  return change && `refstream.lease.${change}`
}

const lineOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/**
 * Writes the audit trail of one request to the admin API, at level info: changes of leases, invalidations, refused webhooks and
 * refused logins.
 */
export function audit(
  log: Log,
  { method = '', url = '', headers, socket }: IncomingMessage,
  { statusCode }: ServerResponse,
  tokens: Tokens | undefined,
  reply: Reply | undefined,
): void {
  const path = url.split('?', 1)[0] ?? ''
  const event = eventOf(method, path, statusCode)
  if (event === undefined || !log.isLevelEnabled('info')) return
  const credentials = parseCredentials(headers.authorization)
  const body = reply?.body as Readonly<Record<string, unknown>> | undefined
  const id = lineOf(body?.['id']) ?? path.split('/')[3]
  const isLease = event.startsWith('refstream.lease.')
  log.info(
    {
      'event.name': event,
      'http.request.method': method,
      'http.response.status_code': statusCode,
      'url.path': isLease ? '/v1/leases' : printablePath(path).slice(0, 256),
      'client.address': socket.remoteAddress,
      'user.name': credentials?.scheme === 'bearer' ? tokens?.nameOf(credentials.token) : undefined,
      'refstream.request.id': randomUUID(),
      'refstream.repository': lineOf(body?.['repository']) ?? reply?.repository,
      'refstream.lease': isLease && id !== undefined ? leaseDigest(id) : undefined,
    },
    'admin request',
  )
}
