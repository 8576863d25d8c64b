import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { RequestBodies } from './bodies.js'
import { Problem, type Call, type Endpoint, type Reply } from './endpoint.js'

/** Most bytes of a body, unless the endpoint has a limit of its own. */
const bodyMax = 64 * 1024
/** Most bytes of all bodies together. */
export const bodiesMax = 64 * 1024 * 1024

/**
 * Answers a request by the endpoint for its path and method.
 * @param bodies reads the bodies of all requests
 * @param replied told what an endpoint has answered, before it is sent
 * @returns false if there is no endpoint at that path; then nothing was sent
 * @throws what the endpoint throws, except Problem
 */
export async function route(
  endpoints: readonly Endpoint[],
  request: IncomingMessage,
  response: ServerResponse,
  bodies = new RequestBodies(bodiesMax),
  replied: (reply: Reply) => void = () => {},
): Promise<boolean> {
  const [path, query] = split(request.url)
  const here = endpoints.flatMap((endpoint) => {
    const params = match(endpoint.path, path)
    return params ? [{ endpoint, params }] : []
  })
  if (here.length === 0) return false
  const found = here.find(({ endpoint }) => endpoint.method === request.method)
  try {
    if (!found) {
      const allowed = here.map(({ endpoint }) => endpoint.method).join(', ')
      response.setHeader('Allow', allowed)
      throw new Problem(405, `allowed methods for ${path}: ${allowed}`)
    }
    const { endpoint, params } = found
    const call = await readCall(endpoint, params, new URLSearchParams(query), request, bodies)
    const reply = await endpoint.handle(call)
    replied(reply)
    send(response, reply)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const { status, message } = error
    sendProblem(response, status, message)
  }
  return true
}

/** Splits a request's target into its path and its query. */
function split(target = ''): [path: string, query: string] {
  const at = target.indexOf('?')
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)]
}

/** Returns the values of a path template's `{names}`; undefined: the path does not match it. */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const expected = pattern.split('/')
  const given = path.split('/')
  if (expected.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, part] of expected.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1]
    if (name !== undefined) params[name] = given[index] ?? ''
    else if (part !== given[index]) return undefined
  }
  return params
}

/** @throws Problem */
async function readCall(
  endpoint: Endpoint,
  params: Record<string, string>,
  query: URLSearchParams,
  request: IncomingMessage,
  bodies: RequestBodies,
): Promise<Call> {
  const { headers } = request
  const check = endpoint.admit?.(headers)
  const raw = await bodies.read(request, endpoint.bodyMax ?? bodyMax, check)
  return { params, query, headers, raw, body: endpoint.body && parse(endpoint, headers['content-type'], raw) }
}

/** Requires JSON's content type: a web page can make a browser post forms and plain text to another origin, but not JSON. */
function parse({ body, bodyOptional }: Endpoint, type: string | undefined, raw: Buffer): unknown {
  if (raw.length > 0 && !/^application\/json\s*(;|$)/i.test(type ?? '')) {
    throw new Problem(415, 'the body must be JSON, with Content-Type: application/json')
  }
  let value: unknown
  try {
    value = raw.length === 0 && bodyOptional ? {} : JSON.parse(raw.toString())
  } catch {
    throw new Problem(400, 'the body is not JSON')
  }
  const result = body!.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.join('.')
  throw new Problem(400, `${where ? `${where}: ` : ''}${issue?.message ?? 'bad value'}`)
}

function send(response: ServerResponse, { status, body, stream }: Reply): void {
  if (stream) return stream(response)
  if (body === undefined) response.writeHead(status).end()
  else sendJson(response, status, 'application/json', body)
}

export function sendProblem(response: ServerResponse, status: number, detail: string): void {
  // The rest of a body that is too long, or was dropped, is not received.
  if (status === 413 || status === 503) response.setHeader('Connection', 'close')
  if (status === 503) response.setHeader('Retry-After', '1')
  sendJson(response, status, 'application/problem+json', { title: STATUS_CODES[status], status, detail })
}

function sendJson(response: ServerResponse, status: number, type: string, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': bytes.length })
  response.end(bytes)
}
