import t, { type Test } from 'tap'
import fc from 'fast-check'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  credentialFromFile,
  CredentialFile,
} from '../../../../src/origin/upstream/credentials/credential-file.js'
import { tempDir } from '../../../support/temp-dir.js'

const url = 'https://git.example'

function write(t: Test, text: string, mode = 0o600): string {
  const path = join(tempDir(t), 'credentials')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

t.test('one credential for all upstreams of one host', async (t) => {
  for (const [line, authorization] of [
    ['alice:secret', basic('alice:secret')],
    ['alice:a:b @c', basic('alice:a:b @c')],
    ['alice:', basic('alice:')],
    ['ålice:pässword', basic('ålice:pässword')],
    ['Bearer abc.d_e-f=', 'Bearer abc.d_e-f='],
    ['bearer  abc', 'Bearer abc'],
  ] as const) {
    const file = CredentialFile.read(write(t, `# comment\n\n${line}\r\n`), [`${url}/a`, `${url}/b`])
    t.equal(file.authorizationFor(`${url}/a`), authorization, line)
    t.equal(file.authorizationFor(`${url}/b`), authorization, line)
  }
})

t.test('credentials by host go to that host alone, the first that fits', async (t) => {
  const text = [
    'https://a:1@git.example:443',
    'https://a:2@git.example',
    'https://b:3@other.example%3a8443',
    'https://c:4@third.example/team/',
    'https://c:5@third.example',
    'http://d%40x:p%3aq%2F%25@[::1]:3000',
  ].join('\n')
  const file = CredentialFile.read(write(t, text), [url])
  for (const [upstream, credential] of [
    [url, 'a:1'],
    [`${url}/below`, 'a:1'],
    ['https://other.example:8443', 'b:3'],
    ['https://third.example/team', 'c:4'],
    ['https://third.example/team/sub', 'c:4'],
    ['https://third.example/teams', 'c:5'],
    ['https://third.example', 'c:5'],
    ['http://[::1]:3000', 'd@x:p:q/%'],
  ] as const) {
    t.equal(file.authorizationFor(upstream), basic(credential), upstream)
  }
  for (const upstream of [
    'http://git.example',
    'https://git.example:8443',
    'https://sub.git.example',
    'https://other.example',
    'https://[::1]:3000',
  ]) {
    t.equal(file.authorizationFor(upstream), undefined, upstream)
  }
})

t.test('what git credential-store writes is read', async (t) => {
  // It encodes all but unreserved characters (RFC 3986, section 2.3).
  const encoded = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`)
  const path = write(t, '')
  const word = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}|\p{Cs}/u.test(text))
  const user = word.filter((text) => text !== '' && !text.includes(':'))
  fc.assert(
    fc.property(user, word, (user, password) => {
      writeFileSync(path, `https://${encoded(user)}:${encoded(password)}@git.example\n`)
      return CredentialFile.read(path, [url]).authorizationFor(url) === basic(`${user}:${password}`)
    }),
    { numRuns: 100 },
  )
})

t.test('errors name the line, and quote nothing of it', async (t) => {
  for (const line of [
    'secret',
    ':secret',
    'Bearer sec ret',
    'https://git.example',
    'https://secret@git.example',
    'https://:secret@git.example',
    'https://alice:secret@',
    'https://alice:secret@git.example?q',
    'https://alice:secret@git.example:99999',
    'https://alice:secret@git.example%2fsecret',
    'https://alice:secr%0aet@git.example',
    'https://al%3aice:secret@git.example',
    'https://alice:secret%ff@git.example',
    'ali\u0007ce:secret',
  ]) {
    try {
      CredentialFile.read(write(t, `https://ok:ok@git.example\n${line}\n`), [url])
      t.fail(`no error: ${line}`)
    } catch (error) {
      const { message } = error as Error
      t.match(message, /credentials:2: /, line)
      t.notMatch(message, /secr|alice/)
    }
  }
  t.throws(() => CredentialFile.read('/nonexistent', [url]), { code: 'ENOENT' })
})

t.test('a file that does not suit the upstreams is refused', async (t) => {
  const read = (text: string, ...upstreams: string[]) => CredentialFile.read(write(t, text), upstreams)
  const other = 'https://other.example'
  t.throws(() => read('', url), /no credential for https:\/\/git\.example$/)
  t.throws(() => read('https://a:b@third.example', url, other), /no credential for .*git\.example, .*other/)
  t.throws(() => read('a:b', url, other), /with several upstreams each credential needs its host/)
  t.throws(() => read('a:b\nc:d', url), /must be the only line/)
  t.throws(() => read('a:b\nhttps://c:d@git.example', url), /must be the only line/)
  t.doesNotThrow(() => read('https://a:b@git.example', url, other), 'another upstream may need none')
})

t.test('that all users may read the file is noticed', async (t) => {
  t.equal(CredentialFile.read(write(t, 'a:b', 0o644), [url]).isPublic, true)
  t.equal(CredentialFile.read(write(t, 'a:b', 0o640), [url]).isPublic, false)
})

t.test('a source takes what the file has now, and reports a refusal of it', async (t) => {
  const path = write(t, 'a:1')
  let file = CredentialFile.read(path, [url])
  const refused: string[] = []
  const source = credentialFromFile(() => file, url, { refused: (url) => refused.push(url) })
  t.equal(await source.get(), basic('a:1'))
  writeFileSync(path, 'a:2')
  file = CredentialFile.read(path, [url])
  t.equal(await source.get(), basic('a:2'))
  source.rejected(basic('a:1'))
  t.same(refused, [], 'it has been replaced')
  source.rejected(basic('a:2'))
  source.rejected(basic('a:2'))
  t.same(refused, [url], 'reported once')
  t.equal(await source.get(), basic('a:2'), 'there is no other')
  source.accepted(basic('a:2'))
  source.rejected(basic('a:2'))
  t.same(refused, [url, url], 'and again after it was accepted')
})
