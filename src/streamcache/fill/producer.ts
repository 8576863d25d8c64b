import type { Revision } from './revision.js'

/**
 * Makes an entry's bytes; runs once per fill, or more often if failed attempts are repeated. Its end means that the
 * bytes are complete, an exception that they are not. When the signal aborts, it should release what it holds and
 * throw. An empty chunk says that the producer is alive and has no bytes yet.
 */
export type Producer = (signal: AbortSignal) => AsyncIterable<Buffer>

/** What a producer yields: bytes one after another, or one Revision, which is the whole body. */
export type Produce = Buffer | Revision

/** A Producer that may yield a Revision instead of bytes. */
export type RevisingProducer = (signal: AbortSignal) => AsyncIterable<Produce>

/** What a fill has produced so far. */
export interface Produced {
  /** In bytes. */
  readonly length: number
  /** SHA-256 of these bytes in hexadecimal. */
  readonly sha256: string
}
