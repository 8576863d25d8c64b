import t from 'tap'
import { writeFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkCertificates } from '../../../src/cli/doctor/certificates.js'
import type { Settings } from '../../../src/config/options/options.js'
import { Authority } from '../../support/certificates.js'
import { tempDir } from '../../support/temp-dir.js'

const settingsOf = (settings: object): Settings => settings as Settings

t.test('certificates that are valid, expire soon, and have expired', async (t) => {
  const authority = new Authority(t)
  const [long, soon, expired] = [30, 10, -1].map((days) => authority.issue({ days }).cert)
  const files = { tlsCert: long, peerTlsCert: soon, upstreamClientCert: expired, fleetTlsCert: expired }
  const [served, peer, fleet, upstream, ...more] = checkCertificates(
    settingsOf({ ...files, fleet: {}, upstream: [] }),
  )
  t.same(more, [])
  t.match(served, { line: /^certificate: \S+ of --tls-cert: valid until \d{4}-\d\d-\d\d$/, wrong: false })
  t.notOk(served!.isWarning)
  t.match(peer, {
    line: /of --peer-tls-cert expires on \S+, in 9 days: from then on, other nodes .* refuse this one; renew it$/,
    wrong: false,
    isWarning: true,
  })
  t.match(fleet, {
    line: /of --fleet-tls-cert has expired on .*; renew it, and start refstream again$/,
    wrong: true,
  })
  t.match(upstream, {
    line: /of --upstream-client-cert has expired on \S+: the upstream refuses/,
    wrong: true,
  })
})

t.test('of authorities, the first to expire counts; what is not in use does not', async (t) => {
  const authority = new Authority(t)
  const [one, two] = [40, 5].map((days) => readFileSync(authority.issue({ days }).cert, 'utf8'))
  const both = join(tempDir(t), 'ca.pem')
  writeFileSync(both, `${one}${two}`)
  const findings = checkCertificates(settingsOf({ tlsClientCa: both, peerTlsCert: both, fleetTlsCert: both }))
  t.match(findings, [
    { line: /of --tls-client-ca expires on \S+, in 4 days: .* clients whose certificates/, isWarning: true },
  ])
  t.equal(findings.length, 1)
  t.same(checkCertificates(settingsOf({})), [])
})
