import t from 'tap'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { checkClock, type ClockReading } from '../../../src/cli/doctor/clock.js'
import { checkFleet } from '../../../src/cli/doctor/fleet.js'
import { engineUrl } from '../../../src/config/values/fleet.js'
import type { Settings } from '../../../src/config/options/options.js'
import { Authority } from '../../support/certificates.js'
import { skipRedis, startRedis } from '../../support/fleet/redis.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('the engine, the other members and the secret', { skip: skipRedis }, async (t) => {
  const directory = tempDir(t)
  const redis = await startRedis(t)
  const secret = join(directory, 'secret')
  writeFileSync(secret, 'sixteen characters', { mode: 0o600 })
  const path = join(directory, 'b.sock')
  const member = createServer((socket) => socket.destroy()).listen(path)
  await once(member, 'listening')
  const settings = {
    fleet: engineUrl.parse(`redis://user:word@127.0.0.1:${redis.port}`),
    fleetName: 'refstream',
    fleetNode: 'a',
    fleetMembers: [
      { name: 'a', url: 'http://127.0.0.1:1' },
      { name: 'b', url: `unix:${path}` },
    ],
    fleetSecretFile: secret,
  } as unknown as Settings
  const without = { ...settings, fleet: engineUrl.parse(`redis://127.0.0.1:${redis.port}`) }
  t.same(await checkFleet(without), [
    { line: `fleet engine: redis at 127.0.0.1:${redis.port} answers`, wrong: false },
    { line: `fleet member b: accepts connections at unix:${path}`, wrong: false },
    { line: `fleet secret: ${secret}, not readable by all users`, wrong: false },
  ])
  const refused = await checkFleet(settings)
  t.match(refused[0], { line: /does not answer: .*each node works alone$/, wrong: true }, 'a wrong password')
  t.notMatch(refused[0]!.line, 'word@')

  await redis.kill()
  member.close()
  chmodSync(secret, 0o644)
  const findings = await checkFleet(without)
  t.ok(findings.every(({ wrong }) => wrong))
  t.match(
    findings.map(({ line }) => line),
    [/^fleet engine: redis at .* does not answer: /, /^fleet member b: cannot be reached at /, /chmod o-r/],
  )
  t.same(await checkFleet({ ...settings, fleet: undefined }), [])
})

t.test('certificates and clocks of other members', { skip: skipRedis }, async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'DNS:localhost', days: 2 })
  const pem = { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(authority.cert) }
  const late = createTlsServer({ ...pem, requestCert: true }, (_request, response) => {
    response.setHeader('Date', new Date(Date.now() - 60_000).toUTCString())
    response.end()
  }).listen(0, '127.0.0.1')
  const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
  await Promise.all([once(late, 'listening'), once(silent, 'listening')])
  t.teardown(() => {
    late.closeAllConnections()
    late.close()
    silent.close()
  })
  const portOf = (server: Server): number => (server.address() as AddressInfo).port
  const redis = await startRedis(t)
  const settings = {
    fleet: engineUrl.parse(`redis://127.0.0.1:${redis.port}`),
    ...{
      fleetName: 'refstream',
      fleetNode: 'a',
      peerTlsCert: cert,
      peerTlsKey: key,
      peerTlsCa: authority.cert,
    },
    fleetMembers: [
      { name: 'b', url: `https://localhost:${portOf(late)}` },
      { name: 'c', url: `http://127.0.0.1:${portOf(silent)}` },
    ],
  } as unknown as Settings
  const readings: ClockReading[] = []
  const findings = await checkFleet(settings, readings)
  t.match(findings.slice(1), [
    { line: /^fleet member b: accepts connections/, wrong: false },
    {
      line: /^fleet member b: its certificate expires on \S+, in 1 day: .* renew it there$/,
      isWarning: true,
    },
    { line: /^fleet member c: accepts connections/ },
  ])
  t.equal(findings.length, 4)
  t.match(checkClock(readings), [{ line: /[56]\d s ahead of that of fleet member b:/, isWarning: true }])
})
