import { flushPacket, packetLength, pktLine } from '../../src/git/protocol/pkt-line.js'
import { ask, type Answer } from './http-client.js'

/** Headers of a fetch in protocol v0; v2 adds `Git-Protocol`. Names in lower case, as CGI tests compare them. */
export const uploadPackHeaders = { 'content-type': 'application/x-git-upload-pack-request' }
export const delimiter = Buffer.from('0001')

const lines = (all: readonly string[]): Buffer[] => all.map((line) => pktLine(`${line}\n`))

/** Returns a fetch in protocol v2 with these arguments (gitprotocol-v2(5)). */
export const fetchV2 = (
  args: readonly string[],
  capabilities: readonly string[] = ['agent=git/test', 'object-format=sha1'],
): Buffer =>
  Buffer.concat([...lines(['command=fetch', ...capabilities]), delimiter, ...lines(args), flushPacket])

/** Returns a fetch in protocol v0 or v1 of one object and all that it needs (gitprotocol-pack(5)). */
export const fetchV0 = (
  want: string,
  rest: readonly string[] = ['done'],
  capabilities = 'side-band-64k ofs-delta',
): Buffer => Buffer.concat([pktLine(`want ${want} ${capabilities}\n`), flushPacket, ...lines(rest)])

export interface PostOptions {
  /** 2 if left out. */
  readonly version?: 0 | 1 | 2
  readonly headers?: Record<string, string>
}

/** Posts a body to `git-upload-pack` of a repository. Rejects if the answer is cut short. */
export function postFetch(
  url: string,
  repository: string,
  body: Buffer,
  { version = 2, headers = {} }: PostOptions = {},
): Promise<Answer> {
  const protocol = version === 0 ? {} : { 'git-protocol': `version=${version}` }
  return ask(`${url}/${repository}/git-upload-pack`, {
    method: 'POST',
    headers: { ...uploadPackHeaders, ...protocol, ...headers },
    body,
  })
}

/** An answer to a fetch, apart. */
export interface FetchAnswer {
  /** The packfile, from sideband 1; empty if there is none. */
  readonly pack: Buffer
  /** All other packets in their order, without progress (sideband 2), in Latin-1. */
  readonly packets: string[]
}

/** Takes an answer apart. @throws if it is no sequence of whole packets */
export function readFetchAnswer(answer: Buffer): FetchAnswer {
  const pack: Buffer[] = []
  const packets: string[] = []
  let at = 0
  while (at < answer.length) {
    const length = packetLength(answer, at)
    const end = at + Math.max(length, 4)
    if (!(end <= answer.length)) throw new Error(`a packet is cut short at byte ${at}`)
    const payload = answer.subarray(at + 4, end)
    if (length > 4 && payload[0] === 1) pack.push(payload.subarray(1))
    else if (length <= 4 || payload[0] !== 2) packets.push(answer.toString('latin1', at, end))
    at = end
  }
  return { pack: Buffer.concat(pack), packets }
}
