import { createHash } from 'node:crypto'
import type { RedisTransport } from '../connections/transport.js'

/** A Lua script, which a server runs as one atomic step. */
export class RedisScript {
  readonly #source: string
  readonly #sha: string

  constructor(...parts: readonly string[]) {
    this.#source = parts.join('\n')
    this.#sha = createHash('sha1').update(this.#source).digest('hex')
  }

  /**
   * Runs the script: by its digest, or with its text if the server does not know it yet. The server refuses an unknown
   * digest before anything runs, so that nothing is done twice.
   * @param keys in one hash slot; the first says where the script runs
   */
  async run(
    transport: RedisTransport,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args.map(String)]
    try {
      return await transport.send(keys[0]!, ['EVALSHA', this.#sha, ...rest])
    } catch (error) {
      if (!(error instanceof Error) || !/^NOSCRIPT\b/.test(error.message)) throw error
      return transport.send(keys[0]!, ['EVAL', this.#source, ...rest])
    }
  }
}
