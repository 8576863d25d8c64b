import t, { type Test } from 'tap'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { CertificateExpiry } from '../../src/server/certificate-expiry.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { Authority } from '../support/certificates.js'
import { FakeClock } from '../support/fake-clock.js'

const dayMs = 86_400_000

function setUp(t: Test) {
  const authority = new Authority(t)
  const metrics = new Metrics()
  const clock = new FakeClock()
  const startMs = Date.now()
  const output = new PassThrough()
  const certificates = new CertificateExpiry({
    ...{ metrics, log: pino(output), clock },
    now: () => startMs + clock.now() - 1000,
  })
  t.teardown(() => certificates.close())
  const pemOf = (days: number): string => readFileSync(authority.issue({ days }).cert, 'utf8')
  return {
    ...{ authority, clock, certificates, pemOf },
    expiry: async (setting: string): Promise<number | undefined> =>
      (await metrics.tlsExpiry.get()).values.find(({ labels }) => labels.setting === setting)?.value,
    lines: (): Record<string, unknown>[] =>
      String((output.read() as Buffer | null) ?? '')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}
const endOf = (pem: string): number => Date.parse(new X509Certificate(pem).validTo) / 1000

t.test('a certificate is reported 14 days before it expires, and when it has, once each', async (t) => {
  const { certificates, clock, pemOf, lines, expiry } = setUp(t)
  const pem = pemOf(20)
  certificates.record('peer-tls-cert', pem)
  t.equal(await expiry('peer-tls-cert'), endOf(pem))
  clock.advance(5 * dayMs)
  t.same(lines(), [])
  clock.advance(2 * dayMs)
  t.match(lines(), [
    { level: 40, setting: 'peer-tls-cert', msg: /--peer-tls-cert expires soon; .* other nodes .* refuse/ },
  ])
  clock.advance(12 * dayMs)
  t.same(lines(), [])
  clock.advance(2 * dayMs)
  t.match(lines(), [{ level: 50, expires: /^\d{4}-/, msg: /--peer-tls-cert has expired: other nodes/ }])
  clock.advance(30 * dayMs)
  t.same(lines(), [])
})

t.test('a renewed certificate takes the place of the earlier one', async (t) => {
  const { certificates, clock, pemOf, lines, expiry } = setUp(t)
  certificates.record('tls-cert', pemOf(-1))
  t.match(lines(), [{ msg: /--tls-cert has expired: clients refuse to connect/ }])
  const pem = pemOf(90)
  certificates.record('tls-cert', pem)
  clock.advance(60 * dayMs)
  t.same(lines(), [])
  t.equal(await expiry('tls-cert'), endOf(pem))
  t.equal(clock.timers, 1)
  certificates.close()
  t.equal(clock.timers, 0)
})

t.test('of authorities the first to expire counts; of a chain, its first certificate', async (t) => {
  const { certificates, pemOf, lines, expiry } = setUp(t)
  const [long, short] = [pemOf(300), pemOf(100)]
  certificates.record('tls-client-ca', long + short)
  t.equal(await expiry('tls-client-ca'), endOf(short))
  certificates.record('tls-cert', long + short)
  t.equal(await expiry('tls-cert'), endOf(long))
  certificates.record('upstream-client-cert', 'no certificate')
  t.equal(await expiry('upstream-client-cert'), undefined)
  t.same(lines(), [])
})
