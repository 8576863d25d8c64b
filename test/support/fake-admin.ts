import type { Test } from 'tap'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'

/** A request that the fake admin server has received. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/** A fake of a sidecar's admin server, with leases and invalidations. */
export class FakeAdmin {
  readonly calls: Call[] = []
  /** Repositories of open leases, by id. */
  readonly open = new Map<string, string>()
  /** If true, requests are accepted and never answered. */
  hanging = false
  /** Status of each response, instead of the right one. */
  status: number | undefined
  /** Does the end of a lease take the names of refs? */
  takesRefs = true
  /** The token that requests must carry, except for health. */
  token: string | undefined
  readonly #server: Server
  #opened = 0

  /** @param listen a port (0: any) or the path of a Unix socket; closed with the test */
  static async start(t: Test, listen: number | string = 0): Promise<FakeAdmin> {
    const fake = new FakeAdmin()
    if (typeof listen === 'string') fake.#server.listen(listen)
    else fake.#server.listen(listen, '127.0.0.1')
    await once(fake.#server, 'listening')
    t.teardown(() => fake.close())
    return fake
  }

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { method = '', url = '' } = request
        const text = Buffer.concat(chunks).toString()
        const call = { method, path: url, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
        this.calls.push(call)
        if (this.hanging) return
        const given = request.headers.authorization
        if (this.token !== undefined && url !== '/healthz' && given !== `Bearer ${this.token}`) {
          const problem = { title: 'Unauthorized', status: 401, detail: 'a token is needed' }
          response.writeHead(401, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify(problem))
          return
        }
        const isJson = method !== 'POST' || request.headers['content-type'] === 'application/json'
        const [status, answer] = this.status ? [this.status, ''] : isJson ? this.#answer(call) : [415, '']
        response.writeHead(status, answer ? { 'Content-Type': 'application/json' } : {}).end(answer)
      })
    })
  }

  /** `http://127.0.0.1:PORT` or `unix:/PATH`. */
  get address(): string {
    const address = this.#server.address() as AddressInfo | string
    return typeof address === 'string' ? `unix:${address}` : `http://127.0.0.1:${address.port}`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Returns the calls since the last time, in short: `open`, `end true` or `end false`, `invalidate`. */
  take(): string[] {
    return this.calls.splice(0).map(({ method, path, body }) => {
      if (method === 'DELETE') return `end ${String((body as { changed: unknown }).changed)}`
      return path === '/v1/leases' ? 'open' : path === '/v1/invalidate' ? 'invalidate' : `${method} ${path}`
    })
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #answer({ method, path, body }: Call): [status: number, answer: string] {
    if (method === 'POST' && path === '/v1/leases') {
      const { repository } = body as { repository: string }
      const id = `lease-_${String(++this.#opened)}`
      this.open.set(id, repository)
      return [201, JSON.stringify({ id, repository, expiresAt: '2030-01-01T00:00:00.000Z' })]
    }
    if (method === 'POST' && path === '/v1/invalidate') return [204, '']
    if (method === 'GET' && path === '/healthz') return [200, 'ok']
    const id = /^\/v1\/leases\/([\w-]+)$/.exec(path)?.[1]
    if (method === 'DELETE' && !this.takesRefs && (body as { refs?: unknown }).refs) return [400, '']
    return method === 'DELETE' && id !== undefined && this.open.delete(id) ? [204, ''] : [404, '']
  }
}
