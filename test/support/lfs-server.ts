import type { Test } from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface LfsServer {
  readonly url: string
  /** Objects by their ids. */
  readonly objects: Map<string, Buffer>
  /** Answers a request that has come to another server. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  /** Each request: method, path and `Authorization`. */
  readonly requests: { readonly line: string; readonly authorization: string | undefined }[]
}

interface Batch {
  readonly operation: 'download' | 'upload'
  readonly objects: readonly { readonly oid: string; readonly size: number }[]
}

/**
 * Starts a server of the batch API of Git LFS, with basic transfers, and of nothing else. Ended with the test.
 * @param authorization what each request must have; a request without gets 401
 */
export async function startLfsServer(t: Test, authorization?: string): Promise<LfsServer> {
  const objects = new Map<string, Buffer>()
  const requests: { line: string; authorization: string | undefined }[] = []
  const handle: LfsServer['handle'] = (request, response) => {
    const { method = '', url = '', headers } = request
    requests.push({ line: `${method} ${url}`, authorization: headers.authorization })
    const send = (status: number, body: string | Buffer = '') => {
      response.writeHead(status, { 'Content-Type': 'application/vnd.git-lfs+json' })
      response.end(body)
    }
    void bodyOf(request).then((body) => {
      const oid = /^\/content\/([0-9a-f]{64})$/.exec(url)?.[1]
      if (oid !== undefined && method === 'PUT') send(200, (objects.set(oid, body), ''))
      else if (oid !== undefined) send(objects.has(oid) ? 200 : 404, objects.get(oid))
      else if (authorization !== undefined && headers.authorization !== authorization) {
        response.setHeader('WWW-Authenticate', 'Basic realm="lfs"')
        send(401, '{"message":"who are you?"}')
      } else if (url.endsWith('/info/lfs/objects/batch'))
        send(200, JSON.stringify(answer(JSON.parse(body.toString()) as Batch)))
      else send(404, '{"message":"no such method"}')
    })
  }
  const server = createServer(handle)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const answer = ({ operation, objects: asked }: Batch) => ({
    transfer: 'basic',
    objects: asked.map(({ oid, size }) => ({
      ...{ oid, size, authenticated: true },
      actions: { [operation]: { href: `${url}/content/${oid}` } },
    })),
  })
  return { url, objects, handle, requests }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
