import t from 'tap'
import type { ServerResponse } from 'node:http'
import {
  ageHeaders,
  HttpError,
  noCacheHeaders,
  sendError,
  type ErrorResponse,
} from '../../src/http/responses.js'

function sent(error: ErrorResponse, closes?: boolean) {
  const written: { status?: number; headers: string[]; body?: string } = { headers: [] }
  const response = {
    writeHead: (status: number, headers: string[]) => {
      written.status = status
      written.headers = headers
    },
    end: (body: Buffer) => (written.body = body.toString()),
  }
  sendError(response as unknown as ServerResponse, error, closes)
  return written
}

t.test('an error is a line of text that is not to be cached', async (t) => {
  t.same(sent(new HttpError(405, 'é', ['Allow', 'POST'])), {
    status: 405,
    headers: [
      ...noCacheHeaders,
      ...['Allow', 'POST'],
      ...['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', '14'],
    ],
    body: 'refstream: é\n',
  })
})

t.test('an error without a message has an empty body', async (t) => {
  t.same(sent(new HttpError(404)), {
    status: 404,
    headers: [...noCacheHeaders, 'Content-Length', '0'],
    body: '',
  })
})

t.test('a connection on which a body may or may not follow is closed', async (t) => {
  t.ok(sent(new HttpError(404), true).headers.join(' ').includes('Connection close'))
})

t.test('a body that is given takes the place of the message, and is not to be cached either', async (t) => {
  const headers = ['WWW-Authenticate', 'Basic', 'WWW-Authenticate', 'Bearer', 'Content-Type', 'text/x']
  t.same(sent({ status: 401, message: '', headers, body: Buffer.from('no') }), {
    status: 401,
    headers: [...noCacheHeaders, ...headers, 'Content-Length', '2'],
    body: 'no',
  })
})

t.test('only an answer that is older than allowed says how old it is', async (t) => {
  t.same(ageHeaders({ isStale: true, ageMs: 61_999 }), [
    ...['Age', '61', 'Warning', '110 refstream "Response is Stale"'],
  ])
  for (const answer of [{}, { isStale: false, ageMs: 61_999 }, { ageMs: 5 }]) t.same(ageHeaders(answer), [])
})
