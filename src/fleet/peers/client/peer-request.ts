import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import type { Clock } from '../../../limits/clock.js'
import { afterReading } from './after-reading.js'
import type { Member } from './member.js'
import { PeerSilent, PeerUnreachable } from '../peer.js'

export interface PeerRequest {
  readonly member: Member
  readonly path: string
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: Buffer
  /** Is a new connection to be made for it? */
  readonly isNew: boolean
  readonly signal: AbortSignal
}

export interface PeerTimes {
  readonly clock: Clock
  /** Milliseconds for a connection: the name and TCP. */
  readonly connectMs: number
  /** Milliseconds without a sign of life. */
  readonly silenceMs: number
}

/** A kept connection turned out to be closed when it was used: that tells nothing of the node. */
export class StaleConnection extends Error {
  override readonly name = 'StaleConnection'
}

/** Codes of errors that are about this host, or a node that is too busy to accept: no sign that the node is not there. */
const shortages = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']

/**
 * Sends a request, and resolves with the head of its response. The signal ends the response too.
 * @throws PeerUnreachable, PeerSilent, StaleConnection, or the signal's reason
 */
export function sendRequest(asked: PeerRequest, times: PeerTimes): Promise<IncomingMessage> {
  const { member, path, headers, body, isNew, signal } = asked
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const send = member.isTls ? requestHttps : requestHttp
    const request = send({ ...member.target(isNew), method: 'POST', path, headers })
    const stopTimes = limitTimes(request, member, times)
    const settle = (): void => {
      signal.removeEventListener('abort', abort)
      stopTimes()
    }
    // A request that still waits for a connection emits its error only when it gets one.
    const abort = (): void => {
      settle()
      request.destroy(signal.reason as Error)
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort)
    request.once('response', (response) => {
      settle()
      endWith(response, signal)
      resolve(response)
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      settle()
      if (request.reusedSocket && !isTold(error)) reject(new StaleConnection(error.message))
      else reject(peerError(error, member))
    })
    request.end(body)
  })
}

/** Limits the time until the connection is made, and from then until the head of the response. @returns ends that */
function limitTimes(
  request: ClientRequest,
  member: Member,
  { clock, connectMs, silenceMs }: PeerTimes,
): () => void {
  let stop = (): void => {}
  const awaitHead = (): void => {
    stop()
    stop = afterReading(clock, silenceMs, () => void request.destroy(silent(member, silenceMs)))
  }
  request.once('socket', (socket: Socket) => {
    if (!socket.connecting) return awaitHead()
    stop = afterReading(clock, connectMs, () =>
      request.destroy(new PeerUnreachable(`${named(member)} did not accept a connection in ${connectMs} ms`)),
    )
    // TCP's, also for TLS, whose handshake needs the node's process: that may be stopped, and alive.
    socket.once('connect', awaitHead)
  })
  return () => stop()
}

function endWith(response: IncomingMessage, signal: AbortSignal): void {
  const abort = (): void => void response.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort)
  // Who reads it gets the error; nobody may be reading it now.
  response.on('error', () => {})
  response.once('close', () => signal.removeEventListener('abort', abort))
}

const named = ({ name, address }: Member): string => `node ${name} at ${address}`

export const silent = (member: Member, ms: number): PeerSilent =>
  new PeerSilent(`${named(member)} has given no sign of life for ${ms} ms`)

/** Returns what is said of a node whose answer is not one. */
export const unreachable = (member: Member, what: string, cause?: unknown): PeerUnreachable =>
  new PeerUnreachable(`${named(member)} ${what}`, { cause })

const isTold = (error: unknown): boolean => error instanceof PeerSilent || error instanceof PeerUnreachable

/** Returns what an error of a connection means. */
export function peerError(error: NodeJS.ErrnoException, member: Member): Error {
  if (isTold(error)) return error
  const what = error.message || error.code || 'failed'
  if (shortages.includes(error.code ?? ''))
    return new PeerSilent(`${named(member)} could not be asked: ${what}`, { cause: error })
  return unreachable(member, `could not be asked, or stopped answering: ${what}`, error)
}
