import type { Test } from 'tap'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Endpoint } from '../../src/admin/endpoint.js'
import { route } from '../../src/admin/router.js'
import { ask, type Ask } from './http-client.js'

export interface AdminReply {
  readonly status: number
  /** Parsed, if there is one. */
  readonly body: unknown
  readonly type: string | undefined
  readonly allow: string | undefined
}

export interface TestAdmin {
  readonly url: string
  /** Sends a request; an object as its body is sent as JSON. */
  readonly call: (
    method: string,
    path: string,
    body?: object | string | Buffer,
    headers?: Ask['headers'],
  ) => Promise<AdminReply>
}

/** Serves endpoints as the admin server does; an error other than a Problem is a 500. Closed with the test. */
export async function serveEndpoints(t: Test, endpoints: readonly Endpoint[]): Promise<TestAdmin> {
  const server = createServer((request, response) => {
    request.on('error', () => {})
    route(endpoints, request, response).then(
      (found) => found || response.writeHead(404).end(),
      (error: unknown) => response.writeHead(500).end(JSON.stringify(String(error))),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const call: TestAdmin['call'] = async (method, path, body, headers = {}) => {
    const json = typeof body === 'object' && !Buffer.isBuffer(body)
    const bytes = Buffer.from(json ? JSON.stringify(body) : (body ?? ''))
    const answer = await ask(url + path, {
      method,
      headers: {
        ...(json ? { 'Content-Type': 'application/json' } : {}),
        ...(body === undefined ? {} : { 'Content-Length': String(bytes.length) }),
        ...headers,
      },
      body: bytes,
    })
    const text = answer.body.toString()
    const { allow, 'content-type': type } = answer.headers
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text), type, allow }
  }
  return { url, call }
}
