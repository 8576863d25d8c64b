import { createHash } from 'node:crypto'
import { UnknownRecord } from '../../../engine.js'
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
   * @throws UnknownRecord if it has found a record of another form
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
      if (!(error instanceof Error) || !/^NOSCRIPT\b/.test(error.message)) throw named(error)
      return await transport.send(keys[0]!, ['EVAL', this.#source, ...rest]).catch((each: unknown) => {
        throw named(each)
      })
    }
  }
}

/** What Redis answers if a key has another type, a field is no number, or a script computes with such a field. */
const otherForm = /\bWRONGTYPE\b|is not an integer|not a valid float|user_script:\d+: attempt to/

function named(error: unknown): unknown {
  if (!(error instanceof Error) || !otherForm.test(error.message)) return error
  return new UnknownRecord(`Redis has a record of another form: ${error.message.slice(0, 200)}`, {
    cause: error,
  })
}
