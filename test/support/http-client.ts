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

/** Sends one request on a new connection. Rejects if the response is cut short. */
export async function ask(url: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> {
  const response = await open(url, { method, headers }, body)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const { statusCode = 0, rawHeaders } = response
  return { status: statusCode, headers: response.headers, rawHeaders, body: Buffer.concat(chunks) }
}

/** Repeats a request until the response has this status. */
export async function eventuallyGet(url: string, status: number): Promise<Answer> {
  for (;;) {
    const answer = await ask(url)
    if (answer.status === status) return answer
    await sleep(20)
  }
}

/** Sends a request and resolves with the head of the response; the caller reads its body. */
export function open(url: string, options: RequestOptions, body?: Buffer | string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ...options }, resolve)
      .on('error', reject)
      .end(body)
  })
}

/** Returns the URL of an advertisement. */
export const infoRefs = (url: string, repository: string, service = 'git-upload-pack'): string =>
  `${url}/${repository}/info/refs?service=${service}`

/** Sends bytes on a raw connection and resolves with all that comes until the server closes it. */
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
