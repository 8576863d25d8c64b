import { errors } from 'undici'
import { AddressDenied, ConnectFailed, UpstreamUnavailable } from './errors.js'

/** Codes of errors that tell about the request, not about the upstream. */
const ofRequest = new Set([
  ...['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED', 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'],
  ...['UND_ERR_DESTROYED', 'UND_ERR_CLOSED'],
])

/** Codes of a connection that was closed or reset. */
const ofReset = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

const codeOf = (error: unknown): string => (error as Partial<NodeJS.ErrnoException>).code ?? ''

/** Time limits of a request in milliseconds. */
export interface TimeLimits {
  /** From the end of the request to the head of the response. */
  readonly headMs: number
  /** Between two pieces of the response's body, while it is read. */
  readonly silenceMs: number
}

/** undici's error if a proxy for plain HTTP answers 407. */
const isProxyRefusal = ({ message }: Error): boolean => message.startsWith('Proxy Authentication Required')

/** Was the connection closed or reset? */
export const isReset = (error: unknown): boolean => ofReset.has(codeOf(error))

/**
 * Returns the error of a request that got no response, or not a whole one; an error that does not come from the upstream,
 * as it is.
 * @param host the upstream's host and port, for the message
 */
export function unavailable(error: Error, host: string, limits: TimeLimits): Error {
  if (ofRequest.has(codeOf(error)) && !isProxyRefusal(error)) return error
  return new UpstreamUnavailable(`${host}: ${reasonOf(error, limits)}`, { cause: error })
}

function reasonOf(error: Error, { headMs, silenceMs }: TimeLimits): string {
  const code = codeOf(error)
  if (error instanceof ConnectFailed) {
    return error.cause instanceof AddressDenied ? error.message : `cannot connect: ${error.message}`
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return `no response within ${headMs / 1000} seconds`
  if (code === 'UND_ERR_BODY_TIMEOUT') return `silent for ${silenceMs / 1000} seconds within a response`
  if (isProxyRefusal(error)) return 'the proxy demands a user name and a password (407)'
  const isParserError = error instanceof errors.HTTPParserError
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || (isParserError && /EOF/.test(error.message)))
    return 'a response is shorter than its head or its chunks say'
  if (isParserError) return `what it sends is not HTTP: ${error.message}`
  return isReset(error)
    ? 'closed the connection before a response was whole'
    : `no usable response (${code || error.message})`
}
