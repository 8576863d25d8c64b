import t from 'tap'
import { ExternalAuthorizer } from '../../src/access/external-authorizer.js'
import type { AccessRequest } from '../../src/access/access-request.js'

t.test('a repository’s name reaches the authoriser percent-encoded, whatever bytes it has', (t) => {
  const authorizer = new ExternalAuthorizer({
    url: 'http://127.0.0.1:9/',
    timeoutMs: 1,
    headers: [],
    userHeader: 'remote-user',
  })
  t.teardown(() => authorizer.close())
  const names = {
    'a/b.git': 'a/b.git',
    'café 1.git': 'caf%C3%A9%201.git',
    // Bytes that are no UTF-8, beside what is.
    'caf\uDCE9.git': 'caf%E9.git',
    '\uDC93\uDCFA/é😀': '%93%FA/%C3%A9%F0%9F%98%80',
    'x\ny': 'x%0Ay',
  }
  for (const [repository, encoded] of Object.entries(names)) {
    const question = {
      transport: 'http',
      service: 'git-upload-pack',
      repository,
      headers: {},
      method: 'GET',
      uri: '/',
    }
    const heard = authorizer.requestHeaders({
      ...question,
      remoteAddress: undefined,
      knownAs: undefined,
    } as AccessRequest)
    t.equal(heard['x-refstream-repository'], encoded)
  }
  t.end()
})
