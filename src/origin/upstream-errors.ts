/** An upstream's answer that refuses a request: its client gets it as it is. */
export class UpstreamRefusal extends Error {
  override readonly name = 'UpstreamRefusal'
  readonly status: number
  /** Names and values in turn: those that the client needs. */
  readonly headers: readonly string[]
  readonly body: Buffer

  constructor(status: number, headers: readonly string[], body: Buffer) {
    super(`the upstream answered with status ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }
}
