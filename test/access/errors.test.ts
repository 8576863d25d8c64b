import t from 'tap'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../../src/access/errors.js'

t.test('errors say what is missing, and hold the challenges', async (t) => {
  t.match(new Unauthenticated(['Basic']), { challenges: ['Basic'], message: /^authentication required/ })
  t.match(new Unauthenticated([], true), { challenges: [], message: 'wrong user name, password or token' })
  t.match(new Forbidden(), { challenges: [], message: 'permission denied' })
  t.match(new AuthorizerUnavailable('status 500'), {
    message: 'authorization service unavailable: status 500',
  })
})
