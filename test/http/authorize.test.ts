import t from 'tap'
import type { IncomingMessage } from 'node:http'
import type { Access } from '../../src/access/access.js'
import type { AccessRequest } from '../../src/access/access-request.js'
import { authorize, type AuthorizeOptions } from '../../src/http/authorize.js'
import type { Exchange } from '../../src/http/exchange.js'
import { parseTarget, type Route } from '../../src/http/route.js'

/** What access is asked about a request. */
function asked(url: string, users?: string[], options: Partial<AuthorizeOptions> = {}): AccessRequest {
  const requests: AccessRequest[] = []
  const access = {
    grantAny: () => undefined,
    check: (request: AccessRequest) => {
      requests.push(request)
      return { user: undefined }
    },
  } as unknown as Access
  const request = {
    ...{ url, method: 'GET', headers: { host: 'x' }, socket: {} },
    headersDistinct: users ? { 'x-remote-user': users } : {},
  } as unknown as IncomingMessage
  const client = { address: '192.0.2.1', route: ['192.0.2.1'], scheme: 'http', host: 'x' }
  const route = parseTarget(url) as Route
  authorize(
    { access, clientName: () => 'by certificate', remoteUserHeader: undefined, ...options },
    { request, client } as unknown as Exchange,
    route,
  )
  return requests[0]!
}

const named = { remoteUserHeader: 'x-remote-user' }

t.test('access is asked about the service and the repository of the route', async (t) => {
  t.match(asked('http://example.com:80/a%20b/info/refs?service=git-receive-pack'), {
    transport: 'http',
    service: 'git-receive-pack',
    repository: 'a b',
    headers: { host: 'x' },
    method: 'GET',
    uri: '/a%20b/info/refs?service=git-receive-pack',
    remoteAddress: '192.0.2.1',
    via: { scheme: 'http', host: 'x' },
    knownAs: 'by certificate',
  })
  t.match(asked('/a/info/refs?service=git-x'), { service: 'dumb' })
})

t.test('where a proxy names the user, its header counts and not the certificate', async (t) => {
  t.equal(asked('/a/HEAD', ['me'], named).knownAs, 'me')
  t.equal(asked('/a/HEAD', undefined, named).knownAs, undefined)
  t.equal(asked('/a/HEAD', [''], named).knownAs, undefined)
  const latin1 = Buffer.from('é').toString('latin1')
  t.equal(asked('/a/HEAD', [latin1], named).knownAs, 'é', 'its bytes are UTF-8')
  t.equal(asked('/a/HEAD', ['me']).knownAs, 'by certificate', 'without the option, the header means nothing')
})

t.test('a user header that is there twice, or is not a name, is refused', async (t) => {
  const refused = { name: 'HttpError', status: 400, message: /x-remote-user/ }
  t.throws(() => asked('/a/HEAD', ['me', 'you'], named), refused)
  t.throws(() => asked('/a/HEAD', ['a\u0007b'], named), refused)
  t.throws(() => asked('/a/HEAD', ['a'.repeat(257)], named), refused)
  t.equal(asked('/a/HEAD', ['a'.repeat(256)], named).knownAs?.length, 256)
})
