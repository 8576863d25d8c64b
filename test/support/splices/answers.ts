import { Agent } from 'node:http'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import { open } from '../http-client.js'
import { runGit, type ModelRepository } from './model-repository.js'

/** A question about refs: an advertisement of protocol v0 or v1, or an ls-refs command of v2. */
export type Question = 'v0' | 'v1' | ListQuestion

export interface ListQuestion {
  readonly peel: boolean
  readonly symrefs: boolean
  readonly unborn: boolean
  /** Bytes as Latin-1. None: all refs. */
  readonly prefixes: readonly string[]
}

/** The bytes of an answer as Latin-1; undefined: Git failed, or the sidecar sent an error. */
export type AnswerBytes = string | undefined

/** What a client accepts: Accept-Encoding. */
export type Coding = 'identity' | 'gzip' | 'zstd'

/** Codings that this Node can decode. */
export const codings: readonly Coding[] = [
  'identity',
  'gzip',
  ...('zstdDecompressSync' in zlib ? (['zstd'] as const) : []),
]

const serviceHeader = Buffer.concat([pktLine('# service=git-upload-pack\n'), flushPacket])

/** Returns one ls-refs command (gitprotocol-v2(5)). */
function commandOf({ prefixes, ...flags }: ListQuestion, { objectFormat }: ModelRepository): Buffer {
  const attributes = (['peel', 'symrefs', 'unborn'] as const).filter((name) => flags[name])
  return Buffer.concat([
    ...[pktLine('command=ls-refs\n'), pktLine(`object-format=${objectFormat}\n`), Buffer.from('0001')],
    ...attributes.map((name) => pktLine(`${name}\n`)),
    ...prefixes.map((prefix) => pktLine(Buffer.from(`ref-prefix ${prefix}\n`, 'latin1'))),
    flushPacket,
  ])
}

/**
 * Resolves with Git's own answers. All ls-refs commands are asked of one process, since upload-pack answers any number of
 * them on one connection.
 */
export async function answersOfGit(
  root: string,
  repository: ModelRepository,
  questions: readonly Question[],
): Promise<AnswerBytes[]> {
  const path = join(root, repository.served)
  const lists = questions.filter((question) => typeof question === 'object')
  const advertise = async (protocol?: string): Promise<AnswerBytes> => {
    const args = ['upload-pack', '--stateless-rpc', '--advertise-refs', path]
    const { ok, stdout } = await runGit(root, args, { protocol })
    return ok ? Buffer.concat([serviceHeader, stdout]).toString('latin1') : undefined
  }
  const list = async (lists: readonly ListQuestion[]): Promise<AnswerBytes[]> => {
    if (lists.length === 0) return []
    const input = Buffer.concat([...lists.map((question) => commandOf(question, repository)), flushPacket])
    const { stdout } = await runGit(root, ['upload-pack', path], { input, protocol: 'version=2' })
    const listed = messagesOf(stdout.toString('latin1')).slice(1)
    if (listed.length === lists.length || lists.length === 1) return listed
    // Git ends at the first command that fails; the others may have an answer.
    return (await Promise.all(lists.map((question) => list([question])))).map(([answer]) => answer)
  }
  const [v0, v1, listed] = await Promise.all([
    questions.includes('v0') ? advertise() : undefined,
    questions.includes('v1') ? advertise('version=1') : undefined,
    list(lists),
  ])
  return questions.map((question) => {
    if (typeof question === 'object') return listed[lists.indexOf(question)]
    return question === 'v0' ? v0 : v1
  })
}

/** Returns messages that end with flush packets; what follows the last one is left out. */
function messagesOf(text: string): string[] {
  const found: string[] = []
  let [start, at] = [0, 0]
  while (at + 4 <= text.length) {
    const length = Number.parseInt(text.slice(at, at + 4), 16)
    at += Math.max(4, length)
    if (length !== 0) continue
    found.push(text.slice(start, at))
    start = at
  }
  return found
}

/** Returns the packets of an answer; those that are not whole are given as they are. */
export function packetsOf(text: string): string[] {
  const found: string[] = []
  for (let at = 0; at < text.length;) {
    const length = Math.max(4, Number.parseInt(text.slice(at, at + 4), 16) || text.length)
    found.push(text.slice(at, at + length))
    at += length
  }
  return found
}

/** A client of the sidecar that keeps its connections. */
export class SidecarClient {
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 })

  constructor(url: string) {
    this.#url = url
  }

  /** Resolves with an answer, decoded; undefined: the response was cut short, or is an error. @throws if it does not decode */
  async answer(repository: ModelRepository, question: Question, coding: Coding): Promise<AnswerBytes> {
    const url = `${this.#url}/${repository.served}`
    const version = typeof question === 'object' ? 2 : question === 'v1' ? 1 : undefined
    const headers = {
      ...(version === undefined ? {} : { 'Git-Protocol': `version=${version}` }),
      ...(coding === 'identity' ? {} : { 'Accept-Encoding': coding }),
    }
    const response =
      typeof question === 'object'
        ? await open(
            `${url}/git-upload-pack`,
            {
              agent: this.#agent,
              method: 'POST',
              headers: { ...headers, 'Content-Type': 'application/x-git-upload-pack-request' },
            },
            commandOf(question, repository),
          )
        : await open(`${url}/info/refs?service=git-upload-pack`, { agent: this.#agent, headers })
    const chunks: Buffer[] = []
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer)
    } catch {
      return undefined
    }
    if (response.statusCode !== 200) return undefined
    return decoded(Buffer.concat(chunks), response.headers['content-encoding']).toString('latin1')
  }

  close(): void {
    this.#agent.destroy()
  }
}

function decoded(body: Buffer, coding = 'identity'): Buffer {
  if (coding === 'identity') return body
  if (coding === 'gzip') return zlib.gunzipSync(body)
  const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: (body: Buffer) => Buffer }
  if (coding === 'zstd' && zstdDecompressSync) return zstdDecompressSync(body)
  throw new Error(`a coding that was not asked for: ${coding}`)
}
