import t from 'tap'
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { checkFleet } from '../../../src/cli/doctor/fleet.js'
import { engineUrl } from '../../../src/config/fleet-values.js'
import type { Settings } from '../../../src/config/options.js'
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
