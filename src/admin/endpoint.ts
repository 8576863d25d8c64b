import type { ServerResponse } from 'node:http'
import type * as z from 'zod'

/** A request as the router passes it to an endpoint. */
export interface Call {
  /** Values of the path's `{names}`. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The body, unparsed. */
  readonly raw: Buffer
  /** The body as parsed by `Endpoint.body`. */
  readonly body: unknown
}

/** Checks a body while it is received. */
export interface BodyCheck {
  take(piece: Buffer): void
  /** Called when the body is complete. @throws Problem to reject it */
  end(): void
}

export interface Reply {
  readonly status: number
  /** Sent as JSON; undefined: no body is sent. */
  readonly body?: unknown
  /** The repository that was changed, if the body does not name it. */
  readonly repository?: string
  /** Sends the answer itself, and ends it. `status` and `body` do not count then. */
  readonly stream?: (response: ServerResponse) => void
}

/** One operation of the admin API. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** A path template as in OpenAPI, such as `/v1/leases/{id}`. */
  readonly path: string
  readonly summary: string
  /** Parameters in the query, with what they mean. */
  readonly query?: Readonly<Record<string, string>>
  /** Schema of the JSON body; undefined: there is none, or the endpoint parses `raw` itself. */
  readonly body?: z.ZodType
  /** The body may be left out; it counts as `{}` then. */
  readonly bodyOptional?: boolean
  /** Most bytes of a body. */
  readonly bodyMax?: number
  /** Called with the head of a request, before its body is read. @throws Problem to reject the request */
  readonly admit?: (headers: Call['headers']) => BodyCheck | undefined
  /** The possible responses by status, with the schema of their JSON, or of what has another media type. */
  readonly answers: Readonly<
    Record<number, { readonly description: string; readonly schema?: z.ZodType; readonly type?: string }>
  >
  handle(call: Call): Reply | Promise<Reply>
}

/** An error that is sent to the client, as `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: number

  constructor(status: number, detail: string) {
    super(detail)
    this.status = status
  }
}
