import type { Client } from '../access/proxies.js'
import { printablePath } from '../telemetry/printable-path.js'
import { agentMax, type ProtocolDetails } from '../service/request-log.js'
import type { HttpRequest, HttpResponse } from './message.js'
import { originForm } from './route.js'

/** Returns what the log says of a request, by the names of OpenTelemetry's conventions for HTTP servers. */
export function logDetails(
  { method, url = '', headers, httpVersion }: HttpRequest,
  { headersSent, statusCode }: HttpResponse,
  client: Client,
): ProtocolDetails {
  // Node has 200 before a status is set.
  const status = headersSent ? statusCode : undefined
  return {
    status,
    hasCredentials: headers.authorization !== undefined,
    attributes: {
      'http.request.method': method,
      'http.response.status_code': status,
      'url.path': printablePath(originForm(url)),
      'url.scheme': client.scheme,
      'client.address': client.address,
      'network.peer.address': client.peer,
      'network.protocol.version': httpVersion,
      'user_agent.original': headers['user-agent']?.slice(0, agentMax),
    },
  }
}
