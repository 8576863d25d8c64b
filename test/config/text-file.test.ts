import t from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { ConfigError } from '../../src/config/values/config-error.js'
import { checkPem, readText } from '../../src/config/text-file.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a pipe is read once and may be asked for again, as config checks and the start do', async (t) => {
  const path = join(tempDir(t), 'pipe')
  execFileSync('mkfifo', [path])
  const writer = spawn('sh', ['-c', 'printf "a secret of a fleet" > "$0"', path])
  t.teardown(() => writer.kill())
  t.equal(readText('fleet-secret-file', path), 'a secret of a fleet')
  t.equal(readText('fleet-secret-file', path), 'a secret of a fleet')
})

t.test('a file that never ends, and one that is not there, name their option', async (t) => {
  t.throws(() => readText('fleet-secret-file', '/dev/zero'), {
    name: 'ConfigError',
    message: /^--fleet-secret-file: it is longer than \d+ bytes$/,
  })
  t.throws(() => readText('peer-tls-ca', join(tempDir(t), 'none')), {
    name: 'ConfigError',
    message: /^--peer-tls-ca: ENOENT/,
  })
  t.throws(() => checkPem('--peer-tls-cert', { cert: 'x', key: 'x' }), ConfigError)
})
