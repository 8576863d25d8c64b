import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openUpstreamClient } from '../../../src/assembly/origins/upstream-client.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import type { Log } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { startFaultProxy } from '../../support/fault-proxy.js'
import { tempDir } from '../../support/temp-dir.js'
import { bodyOf, requestOf, serve } from '../../support/upstream-client.js'

function open(t: Parameters<typeof serve>[0], url: string, flags: Readonly<Record<string, string>> = {}) {
  const metrics = new Metrics()
  const lines: string[] = []
  const log = Object.fromEntries(
    ['info', 'warn', 'error'].map((level) => [
      level,
      (fields: object, text: string) => lines.push(`${level} ${JSON.stringify(fields)} ${text}`),
    ]),
  ) as unknown as Log
  const settings = resolveSettings(readFlags({ upstream: url, ...flags }))
  const client = openUpstreamClient(settings, url, 'name', {}, '2.55.0', { metrics, log })
  t.teardown(() => client.close())
  return { client, metrics, lines }
}

t.test('the client says who it is, and its connections are counted', async (t) => {
  const url = await serve(t, (request, response) => response.end(request.headers['user-agent']))
  const { client, metrics } = open(t, url)
  t.equal((await metrics.upstreamBreakerOpen.get()).values[0]?.value, 0, 'there before anything happens')
  t.equal((await metrics.upstreamConnections.get()).values[0]?.value, 0)
  t.match((await bodyOf(await client.request(requestOf()))).toString(), /^git\/2\.55\.0 refstream\/\d/)
  t.same((await metrics.upstreamConnections.get()).values, [{ value: 1, labels: { upstream: 'name' } }])
})

t.test('an upstream that fails is logged, and one that keeps failing opens the breaker', async (t) => {
  const proxy = await startFaultProxy(t, { target: await serve(t, (_request, response) => response.end()) })
  const { client, metrics, lines } = open(t, proxy.url)
  proxy.fault({ kind: 'reset', after: 0 }, () => true, Infinity)
  for (let count = 0; count < 6; count++)
    await t.rejects(client.request(requestOf()), { name: 'UpstreamUnavailable' })
  t.equal(
    lines.filter((line) => /an upstream request failed/.test(line)).length,
    1,
    'at most every 10 seconds',
  )
  t.match(lines, [
    /^warn \{"upstream":"name",/,
    /^error .* an upstream keeps failing; it is asked again after a pause$/,
  ])
  t.equal((await metrics.upstreamBreakerOpen.get()).values[0]?.value, 1)
})

t.test('what cannot be used is a mistake in the settings', async (t) => {
  const url = 'https://git.example'
  const missing = { upstreamCa: join(tempDir(t), 'none.pem') }
  t.throws(() => open(t, url, missing), {
    name: 'ConfigError',
    message: /^--upstream-ca: ENOENT/,
  })
  const wrong = join(tempDir(t), 'wrong.pem')
  writeFileSync(wrong, 'no certificate')
  t.throws(() => open(t, 'http://127.0.0.1', { upstreamDeny: 'loopback' }), {
    ...{ name: 'ConfigError', message: /^--upstream: / },
  })
})
