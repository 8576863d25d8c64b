import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCredentialFiles } from '../../../src/assembly/credentials/credential-files.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { tempDir } from '../../support/temp-dir.js'

const settings = (flags: Record<string, unknown>) => resolveSettings(readFlags({ root: '/r', ...flags }))

t.test('errors name the files that cannot be used, and quote nothing of them', async (t) => {
  const directory = tempDir(t)
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const hash = `$2y$05$${'a'.repeat(53)}`
  const bad: [Record<string, unknown>, RegExp][] = [
    [{ authTokens: file('a', '\n#x\nops:secret\n') }, /a:3: /],
    [{ adminTokenFile: file('b', 'secret') }, /admin-tokens: .*b:1: /],
    [{ authHtpasswd: file('c', 'alice:{SHA}secret\n') }, /c:1: .*htpasswd -B/],
    [{ authHtpasswd: file('d', `alice:${hash}\nalice:${hash}`) }, /d:2: /],
    [{ authHtpasswd: file('e', `alice:${hash.replace('05', '31')}`) }, /e:1: .*14/],
    [{ authTokens: join(directory, 'none') }, /ENOENT/],
    [{ tlsCert: file('f', 'secret'), tlsKey: file('g', 'secret') }, /tls: cannot use .*no certificate/],
  ]
  for (const [flags, message] of bad) {
    try {
      openCredentialFiles(settings(flags), new Metrics(), createLog('silent'))
      t.fail(`no error: ${message}`)
    } catch (error) {
      t.match(error, { name: 'ConfigError', message })
      t.notMatch((error as Error).message, /secret/)
    }
  }
})
