import t from 'tap'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Endpoint, Reply } from '../../src/admin/endpoint.js'
import { createAdminServer } from '../../src/admin/server.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { eventually } from '../support/eventually.js'
import { connect } from '../support/http-client.js'

t.test('a change whose client has left without the answer is in the audit trail', async (t) => {
  let finish: ((reply: Reply) => void) | undefined
  const endpoint: Endpoint = {
    ...{ method: 'POST', path: '/v1/leases', summary: '', answers: {} },
    handle: () => new Promise((resolve) => (finish = resolve)),
  }
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
  const server = createAdminServer({
    ...{ metrics: new Metrics(), log: createLog('info', { write }), endpoints: [endpoint], version: '1' },
    notReady: () => undefined,
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const socket = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  socket.write('POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
  await eventually('it is being answered', () => finish !== undefined)
  socket.destroy()
  const connections = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
  await eventually('its client has left', async () => (await connections()) === 0)
  finish!({ status: 201, body: { id: 'secret', repository: 'r.git' } })
  await eventually('there is a line', () => lines.length > 0)
  t.match(lines, [
    {
      'event.name': 'refstream.lease.open',
      'http.response.status_code': 201,
      'refstream.repository': 'r.git',
      'refstream.lease': /^[0-9a-f]{16}$/,
    },
  ])
})
