import { Readable } from 'node:stream'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import type { UpstreamRequest, UpstreamResponse } from '../../src/origin/upstream/client/upstream-client.js'

export const advertisementType = 'application/x-git-upload-pack-advertisement'
export const resultType = 'application/x-git-upload-pack-result'

export interface UpstreamAnswer {
  /** 200 if left out. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: Buffer | string | Readable
  readonly redirectedTo?: string
}

/** Returns an upstream's response. */
export function responseOf({
  status = 200,
  headers = {},
  body = '',
  redirectedTo,
}: UpstreamAnswer): UpstreamResponse {
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().flatMap((one) => [name, one]),
  )
  return {
    ...{ status, statusText: undefined, headers: pairs, redirectedTo },
    values: (name) => pairs.filter((_, index) => index % 2 === 1 && pairs[index - 1]!.toLowerCase() === name),
    body: body instanceof Readable ? body : Readable.from(body.length > 0 ? [Buffer.from(body)] : []),
  }
}

/** Returns the packets of these lines, and a flush packet. */
export const packets = (...lines: readonly string[]): Buffer =>
  Buffer.concat([...lines.map((line) => pktLine(line)), flushPacket])

/** The capability advertisement of protocol v2. */
export const capabilities = (objectFormat = 'sha1'): UpstreamAnswer => ({
  headers: { 'Content-Type': advertisementType },
  body: Buffer.concat([
    packets('# service=git-upload-pack\n'),
    packets('version 2\n', 'ls-refs=unborn\n', 'fetch=shallow\n', `object-format=${objectFormat}\n`),
  ]),
})

/** An answer to ls-refs, with these lines. */
export const listing = (...lines: readonly string[]): UpstreamAnswer => ({
  headers: { 'Content-Type': resultType },
  body: packets(...lines),
})

/** A body that stays open, and tells whether it was given up. */
export function openBody(...chunks: readonly (Buffer | string)[]): Readable {
  const left = [...chunks]
  return new Readable({
    read() {
      const next = left.shift()
      if (next !== undefined) this.push(Buffer.from(next))
    },
    // Whether its reader listens for its error is not what is tested.
  }).on('error', () => {})
}

/** Is it a question for an advertisement? */
export const isAdvertisement = ({ method, path }: UpstreamRequest): boolean =>
  method === 'GET' && path.includes('/info/refs?')
