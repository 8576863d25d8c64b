import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readUpstreamPem } from '../../../src/assembly/origins/upstream-pem.js'
import { tempDir } from '../../support/temp-dir.js'

const nothing = { upstreamCa: undefined, upstreamClientCert: undefined, upstreamClientKey: undefined }

t.test('no files are read unless they are given', async (t) => {
  t.same(readUpstreamPem(nothing), { ca: undefined, cert: undefined, key: undefined })
})

t.test(
  'a file that is not there, and one that is not a certificate, are named with their option',
  async (t) => {
    const path = join(tempDir(t), 'pem')
    const given = { ...nothing, upstreamClientCert: path, upstreamClientKey: path }
    t.throws(() => readUpstreamPem(given), {
      name: 'ConfigError',
      message: /^--upstream-client-cert: ENOENT/,
    })
    writeFileSync(path, 'no certificate\n')
    t.throws(() => readUpstreamPem(given), {
      name: 'ConfigError',
      message: /^--upstream-client-cert and --upstream-client-key: not usable PEM: /,
    })
  },
)
