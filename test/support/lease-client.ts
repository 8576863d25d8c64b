import { ask } from './http-client.js'

/** The admin API has answered with another status than it should have. */
export class AdminFailure extends Error {
  readonly method: string
  readonly status: number

  constructor(method: string, status: number, message: string) {
    super(message)
    this.method = method
    this.status = status
  }
}

/** A mutator's client of the admin API. */
export class LeaseClient {
  readonly #adminUrl: string
  readonly #repository: string

  /** @param repository relative to the root */
  constructor(adminUrl: string, repository: string) {
    this.#adminUrl = adminUrl
    this.#repository = repository
  }

  /** Runs `work` under a lease, which ends with `changed`. @throws what `work` throws */
  async during<T>(work: () => Promise<T>, changed = true): Promise<T> {
    const id = await this.open()
    try {
      return await work()
    } finally {
      await this.end(id, changed)
    }
  }

  async open(ttlSeconds = 60): Promise<string> {
    const body = await this.#call(201, 'POST', '/v1/leases', { repository: this.#repository, ttlSeconds })
    return (JSON.parse(body) as { id: string }).id
  }

  async end(id: string, changed = true): Promise<void> {
    await this.#call(204, 'DELETE', `/v1/leases/${id}`, { changed })
  }

  /** Reports that the repository has changed. */
  async invalidate(): Promise<void> {
    await this.#call(204, 'POST', '/v1/invalidate', { repository: this.#repository })
  }

  async #call(expected: number, method: string, path: string, body: object): Promise<string> {
    const text = JSON.stringify(body)
    // Node's client sends no Content-Length for the body of a DELETE by itself.
    const headers = { 'Content-Type': 'application/json', 'Content-Length': `${Buffer.byteLength(text)}` }
    const answer = await ask(`${this.#adminUrl}${path}`, { method, headers, body: text })
    if (answer.status !== expected)
      throw new AdminFailure(method, answer.status, `${method} ${path}: ${answer.status} ${answer.body}`)
    return answer.body.toString()
  }
}
