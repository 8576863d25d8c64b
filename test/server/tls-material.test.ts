import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTlsMaterial, type TlsFiles } from '../../src/server/tls-material.js'
import { Authority } from '../support/certificates.js'
import { tempDir } from '../support/temp-dir.js'

t.test('an error names the file and the kind of its content, and quotes nothing of it', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.issue()
  const other = authority.issue()
  const directory = tempDir(t)
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const pemOf = (path: string): string => readFileSync(path, 'utf8')
  const encrypted = ['pkcs8', '-topk8', '-in', key, '-passout', 'pass:x', '-v2', 'aes256']
  const bad: [Partial<TlsFiles>, RegExp][] = [
    [{ key: cert }, /no private key in it that can be used, but a certificate$/],
    [{ key: file('public', openssl('pkey', '-in', key, '-pubout')) }, /, but a public key$/],
    [{ key: file('encrypted', openssl(...encrypted)) }, /it is encrypted; make one without/],
    [{ key: file('old', openssl('ec', '-in', key, '-aes128', '-passout', 'pass:xxxx')) }, /it is encrypted/],
    [{ key: file('garbage', 'secret garbage') }, /garbage: there is no private key .*it is not PEM/],
    [{ key: file('empty', '') }, /it is not PEM/],
    [{ key: file('damaged', pemOf(key).replace(/\nM/, '\n*')) }, /it is damaged/],
    [{ key: other.key }, /^the key in .* does not belong to the certificate in .*: a mismatch$/],
    [{ cert: key }, /key: there is no certificate in it, but a private key$/],
    [{ cert: file('chain', pemOf(authority.cert) + pemOf(cert)) }, /own must come first/],
    [{ cert: file('cut', pemOf(cert).replace(/\nM/, '\n*')) }, /cut: /],
    [{ clientCa: key }, /there is no certificate in it, but a private key/],
    [{ clientCa: join(directory, 'none') }, /ENOENT.*none/],
    [{ key: directory }, /EISDIR/],
  ]
  for (const [files, message] of bad) {
    const all = { cert, key, clientCa: undefined, clientNames: undefined, ...files }
    try {
      readTlsMaterial(all)
      t.fail(`no error: ${message}`)
    } catch (error) {
      t.match((error as Error).message, message)
      t.notMatch((error as Error).message, /secret|\n/)
    }
  }
  const both = file('both', pemOf(cert) + pemOf(authority.cert) + pemOf(key))
  t.ok(
    readTlsMaterial({ cert: both, key: both, clientCa: undefined, clientNames: undefined }),
    'one file with all',
  )
})
