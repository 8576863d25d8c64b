import { PassThrough, type Readable } from 'node:stream'

/**
 * The body of a request, between the caller's stream and undici, which destroys what it is given when the response ends
 * first. The caller's stream may be a client's request, whose connection must outlive that: so it is read to its end, and
 * what is left of it is dropped.
 */
export class StreamedBody {
  /** What undici reads; as fast as the connection takes it. */
  readonly stream = new PassThrough()
  /** Why the caller's stream ended too early; undefined: it did not. */
  failure: Error | undefined

  constructor(source: Readable) {
    const { stream } = this
    const fail = (error: Error): void => {
      if (stream.writableEnded) return
      this.failure ??= error
      stream.destroy(error)
    }
    const closed = (): void => {
      if (!source.readableEnded) fail(new Error('the request body was not sent to its end'))
    }
    // Without a listener an error would be thrown.
    stream.on('error', () => {})
    source.on('error', fail)
    source.once('close', closed)
    stream.once('close', () => {
      source.unpipe(stream)
      source.resume()
    })
    if (source.destroyed) closed()
    source.pipe(stream)
  }
}
