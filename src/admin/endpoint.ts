import type { z } from 'zod'

/** What the router hands to an endpoint. */
export interface Call {
  /** Values of the path's `{names}`. */
  readonly params: Readonly<Record<string, string>>
  /** Header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The body as it came. */
  readonly raw: Buffer
  /** The body as `Endpoint.body` reads it. */
  readonly body: unknown
}

/** Looks at a body while it comes, before anybody keeps or reads it. */
export interface BodyCheck {
  take(piece: Buffer): void
  /** Called when all of it has come. @throws Problem if it is refused */
  end(): void
}

export interface Reply {
  readonly status: number
  /** Sent as JSON; undefined: nothing is. */
  readonly body?: unknown
}

/** One operation of the admin API: how it is called, how it answers, and what it does. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** As OpenAPI writes it, such as `/v1/leases/{id}`. */
  readonly path: string
  readonly summary: string
  /** The JSON body; undefined: the body is none, or not this room's to read. */
  readonly body?: z.ZodType
  /** May the body be left out? Then it counts as `{}`. */
  readonly bodyOptional?: boolean
  /** Most bytes of a body. */
  readonly bodyMax?: number
  /** Called with the head of a request, before any of its body is read. @throws Problem if it is refused */
  readonly admit?: (headers: Call['headers']) => BodyCheck | undefined
  /** What each status means, and the schema of its JSON. */
  readonly answers: Readonly<Record<number, { readonly description: string; readonly schema?: z.ZodType }>>
  handle(call: Call): Reply | Promise<Reply>
}

/** An error that a caller is told about, as `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: number

  constructor(status: number, detail: string) {
    super(detail)
    this.status = status
  }
}
