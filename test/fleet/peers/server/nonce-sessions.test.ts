import t from 'tap'
import { NonceSessions } from '../../../../src/fleet/peers/server/nonce-sessions.js'

t.test('a nonce counts once in a session, and a session that is not known counts never', async (t) => {
  const sessions = new NonceSessions()
  t.equal(sessions.take(sessions.current, '1'), 'new')
  t.equal(sessions.take(sessions.current, '1'), 'repeated')
  t.equal(sessions.take(sessions.current, '2'), 'new')
  t.equal(sessions.take(new NonceSessions().current, '3'), 'ended')
})

t.test('a session ends after so many nonces, and what was taken in it is never new again', async (t) => {
  const sessions = new NonceSessions(3)
  const first = sessions.current
  for (const nonce of ['1', '2', '3']) t.equal(sessions.take(first, nonce), 'new')
  const second = sessions.current
  t.not(second, first)
  t.equal(sessions.take(first, '4'), 'new', 'a request that was on its way')
  t.equal(sessions.take(first, '1'), 'repeated')
  for (const nonce of ['5', '6']) t.equal(sessions.take(first, nonce), 'new')
  t.equal(sessions.take(first, '7'), 'ended', 'the one before is bounded too')
  for (const nonce of ['1', '2', '3']) t.equal(sessions.take(second, nonce), 'new')
  t.equal(sessions.take(first, '1'), 'ended', 'two sessions are kept')
  t.equal(sessions.take(second, '1'), 'repeated')
})
