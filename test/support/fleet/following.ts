import { open } from '../http-client.js'
import { sha256 } from '../sha256.js'
import type { FleetProcess, TestedFleet } from './kinds.js'

/** A request of a client whose answer is read as it comes. */
export interface Following {
  readonly process: FleetProcess
  /** Bytes so far. */
  readonly length: () => number
  /** When the last of them have come, in milliseconds of performance.now(). */
  readonly lastMs: () => number
  /** Resolves with the answer, or with undefined if it broke off. */
  readonly answer: Promise<FollowedAnswer | undefined>
}

export interface FollowedAnswer {
  readonly status: number
  readonly body: Buffer
  /** Seconds of Retry-After. */
  readonly retryAfter: number | undefined
}

export interface FollowedRequest {
  /** Below the URL, with a slash. */
  readonly path: string
  readonly headers?: Record<string, string>
  /** Then it is a POST. */
  readonly body?: Buffer
}

/** Sends a request to one process. */
export function follow(process: FleetProcess, { path, headers, body }: FollowedRequest): Following {
  const chunks: Buffer[] = []
  let [length, lastMs] = [0, 0]
  const read = async (): Promise<FollowedAnswer> => {
    const options = { method: body ? 'POST' : 'GET', agent: process.agent, ...(headers && { headers }) }
    const response = await open(`${process.url}${path}`, options, body)
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      lastMs = performance.now()
    }
    const { statusCode = 0, headers: answered } = response
    const seconds = answered['retry-after']
    const retryAfter = seconds === undefined ? undefined : Number(seconds)
    return { status: statusCode, body: Buffer.concat(chunks), retryAfter }
  }
  const answer = read().catch(() => undefined)
  return { process, length: () => length, lastMs: () => lastMs, answer }
}

/** Sends so many requests, to one process after another. */
export const followAll = (
  { processes }: Pick<TestedFleet, 'processes'>,
  count: number,
  request: FollowedRequest,
): Following[] =>
  Array.from({ length: count }, (_, index) => follow(processes[index % processes.length]!, request))

/** Returns the different answers of clients: status, length, digest and the last packet, or `broken`. */
export async function answersOf(clients: readonly Following[]): Promise<string[]> {
  const answers = clients.map(async ({ answer }) => {
    const { status, body } = (await answer) ?? {}
    return body ? `${status} ${body.length} ${sha256(body)} ${body.subarray(-4).toString()}` : 'broken'
  })
  return [...new Set(await Promise.all(answers))]
}
