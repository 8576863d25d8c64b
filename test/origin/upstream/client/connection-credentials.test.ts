import t from 'tap'
import type { Socket } from 'node:net'
import { bodyOf, createUpstreamClient, serve } from '../../../support/upstream-client.js'

t.test('a connection that a client may have authenticated is used for nothing else', async (t) => {
  /** Of servers that take all requests of a connection for those of the user who has authenticated it. */
  const known = new WeakMap<Socket, string>()
  const sockets = new Set<Socket>()
  const url = await serve(t, ({ socket, headers: { authorization } }, response) => {
    sockets.add(socket)
    if (authorization && !/^(basic|bearer) /i.test(authorization)) known.set(socket, authorization)
    response.end(known.get(socket) ?? 'nobody')
  })
  const { ask } = createUpstreamClient(t, url, { connections: 3 })
  const who = async (authorization?: string): Promise<string> =>
    String(
      await bodyOf(
        await ask({ headers: authorization === undefined ? {} : { Authorization: authorization } }),
      ),
    )

  for (const authorization of ['Negotiate YII=', 'NTLM TlRM', 'ntlm x', 'Kerberos x', 'Other', '']) {
    const all = [authorization, undefined, 'Basic x', authorization, undefined, 'Bearer x']
    const [first, ...others] = await Promise.all(all.map(who))
    t.equal(first, authorization || 'nobody')
    t.same(
      others.filter((_, at) => at !== 2),
      ['nobody', 'nobody', 'nobody', 'nobody'],
    )
    for (const other of [undefined, 'Basic x', 'Bearer x', undefined]) t.equal(await who(other), 'nobody')
  }
  sockets.clear()
  for (const authorization of ['Basic a', 'Bearer b', undefined, 'Digest x="y"']) await who(authorization)
  t.ok(sockets.size <= 3, 'others share connections')
})
