import { request, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly body: Buffer
}

export interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: Buffer | string
}

/** One request on a connection of its own. Rejects if the answer breaks off. */
export async function ask(url: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> {
  const response = await open(url, { method, headers }, body)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const { statusCode = 0, rawHeaders } = response
  return { status: statusCode, headers: response.headers, rawHeaders, body: Buffer.concat(chunks) }
}

/** Asks again and again until the answer has this status. */
export async function eventuallyGet(url: string, status: number): Promise<Answer> {
  for (;;) {
    const answer = await ask(url)
    if (answer.status === status) return answer
    await sleep(20)
  }
}

/** The same, up to the head of the answer; its body is the caller's to read. */
export function open(url: string, options: RequestOptions, body?: Buffer | string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ...options }, resolve)
      .on('error', reject)
      .end(body)
  })
}

/** The URL of an advertisement. */
export const infoRefs = (url: string, repository: string, service = 'git-upload-pack'): string =>
  `${url}/${repository}/info/refs?service=${service}`

/** Bytes as they come over a raw connection, until the server closes it. */
export async function raw(url: string, bytes: string): Promise<string> {
  const socket = connect(url)
  socket.write(bytes)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

export function connect(url: string): Socket {
  const { hostname, port } = new URL(url)
  return createConnection(Number(port), hostname)
}
