import t from 'tap'
import { Authorizer } from '../../src/access/forward.js'
import type { Question } from '../../src/access/question.js'

t.test('a repository’s name reaches the authoriser percent-encoded, whatever bytes it has', (t) => {
  const authorizer = new Authorizer({
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
      door: 'http',
      service: 'git-upload-pack',
      repository,
      headers: {},
      method: 'GET',
      uri: '/',
    }
    const heard = authorizer.hears({ ...question, remoteAddress: undefined, knownAs: undefined } as Question)
    t.equal(heard['x-refstream-repository'], encoded)
  }
  t.end()
})
