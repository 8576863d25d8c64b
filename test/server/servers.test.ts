import t from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import type { AdminServerOptions } from '../../src/admin/server.js'
import { defaultAdminAddress } from '../../src/config/values/addresses.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import type { HttpServerOptions } from '../../src/http/server.js'
import { Servers } from '../../src/server/servers.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'

const log = createLog('silent')
const metrics = new Metrics()

/** Opens servers whose HTTP server accepts connections, but is sent no requests. */
function open(flags: Record<string, unknown>): Promise<Servers> {
  const gate = { connectionAccepted: () => {} }
  const http = { requestIdleMs: 60_000, maxHeaderBytes: 65_536, gate, metrics, log }
  const admin: AdminServerOptions = { metrics, log, notReady: () => undefined, endpoints: [], version: '0' }
  return Servers.open({
    settings: resolveSettings(readFlags({ root: '/r', ...flags })),
    http: http as unknown as HttpServerOptions,
    admin,
    grpc: {} as never,
    tls: undefined,
    proxyProtocol: undefined,
    log,
  })
}

const portOf = (url: string): number => Number(new URL(url).port)

t.test('the addresses that the system chose are reported', async (t) => {
  const servers = await open({ listen: '127.0.0.1:0', admin: '127.0.0.1:0,[::1]:0' })
  t.teardown(() => servers.close())
  t.match(servers.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.match(servers.adminUrl, /^http:\/\/127\.0\.0\.1:\d+$/, 'the first of the admin addresses')
  t.equal(servers.grpcTarget, undefined)
  t.equal((await fetch(`${servers.adminUrl}/healthz`)).status, 200)
})

t.test('a default admin address that is in use is replaced by a free port', async (t) => {
  const other = createServer()
  other.listen(defaultAdminAddress.port, defaultAdminAddress.host)
  // If the port is in use already, that serves as well.
  await Promise.race([once(other, 'listening'), once(other, 'error')]).catch(() => {})
  t.teardown(() => other.close())
  const servers = await open({ listen: '127.0.0.1:0' })
  t.teardown(() => servers.close())
  t.not(portOf(servers.adminUrl), defaultAdminAddress.port)
  t.equal((await fetch(`${servers.adminUrl}/healthz`)).status, 200)
})

t.test('if one address cannot be listened on, none is', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port: listenPort } = free.address() as AddressInfo
  await new Promise((resolve) => free.close(resolve))
  const opening = open({ listen: `127.0.0.1:${listenPort}`, admin: `127.0.0.1:${port}` })
  await t.rejects(opening, { name: 'ConfigError', message: /^--admin: cannot listen on .*EADDRINUSE/ })
  const [error] = (await once(connect(listenPort, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNREFUSED')
})

t.test('a drain closes connections without a request, and leaves the admin API open', async (t) => {
  const servers = await open({ listen: '127.0.0.1:0', admin: '127.0.0.1:0' })
  t.teardown(() => servers.close())
  const socket = connect(portOf(servers.url), '127.0.0.1')
  const closed = once(socket.resume(), 'close')
  await once(socket, 'connect')
  // The server learns of the connection a moment later; until then it would be accepted and closed with the listener.
  await new Promise((resolve) => setTimeout(resolve, 50))
  await servers.drain(60)
  await closed
  t.equal((await fetch(`${servers.adminUrl}/healthz`)).status, 200)
})
