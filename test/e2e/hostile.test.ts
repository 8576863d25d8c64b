import t from 'tap'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, infoRefs, raw } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('no path leads out of the root', async (t) => {
  const top = tempDir(t)
  const root = join(top, 'root')
  mkdirSync(root)
  makeRepository(top, 'secret.git')
  makeRepository(root, 'r.git')
  makeRepository(root, 'real/r.git')
  symlinkSync('../secret.git', join(root, 'link.git'))
  symlinkSync('real', join(root, 'inner'))
  mkdirSync(join(root, 'file'))
  writeFileSync(join(root, 'file/.git'), 'gitdir: ../../secret.git\n')
  const sidecar = await startSidecar(t, root)

  const status = async (path: string): Promise<string> => {
    const answer = await raw(sidecar.url, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    return answer.slice(9, 12)
  }
  const query = '/info/refs?service=git-upload-pack'
  for (const path of ['/r.git', '/r', '/inner/r.git', '/r%2egit', '/%72.git', '/real%2Fr.git']) {
    t.equal(await status(path + query), '200', path)
  }
  // As web servers in front of Git's own server accept them.
  for (const path of ['//r.git', '/r.git/', '/r.git//', '/inner//r.git', '///inner/%2Fr.git/']) {
    t.equal(await status(path + query), '200', path)
  }
  t.equal(
    await status(`http://elsewhere.example/r.git${query}`),
    '200',
    'the absolute form is the same request',
  )
  const escapes = [
    ...[
      '/../secret.git',
      '/%2e%2e/secret.git',
      '/%2E%2E%2Fsecret.git',
      '/..%2fsecret.git',
      '/r.git/../../secret.git',
    ],
    ...['/%252e%252e/secret.git', '/./r.git', '/r.git/.', '/r.git%00', '/r.git%00.git', '//../secret.git'],
    ...[
      '/link.git',
      '/link',
      '/file',
      '/file/.git',
      `/${top}/secret.git`,
      `/%2F${top}/secret.git`,
      '/~root',
      '/',
    ],
    ...[
      '/%',
      '/%zz',
      '/%ff%fe.git',
      '/nothing.git',
      '/..',
      '/%5c..%5csecret.git',
      '/r.git/objects',
      '/r.git/refs',
    ],
  ]
  for (const path of escapes) {
    t.equal(await status(path + query), '404', `${path} is not found`)
    t.equal(await status(`${path}/HEAD`), '404', `${path} has no files either`)
  }
  for (const path of ['/', '/favicon.ico', '/r.git', '/r.git/config', '/r.git/hooks/update', '/metrics']) {
    t.equal(await status(path), '404', `${path} is no path of Git’s`)
  }
  t.equal(await status('r.git/info/refs'), '400')
})

t.test('a malformed request is refused and affects no other', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const head = (...lines: string[]): Promise<string> =>
    raw(sidecar.url, [...lines, 'Host: x', 'Connection: close', '', ''].join('\r\n'))
  const target = '/r.git/info/refs?service=git-upload-pack'

  t.match(await head(`GET /${'a'.repeat(13_000)}${target} HTTP/1.1`), /^HTTP\/1.1 414 /)
  t.match(await head(`GET /${'a'.repeat(100_000)}${target} HTTP/1.1`), /^HTTP\/1.1 431 /)
  t.match(await head(`GET ${target} HTTP/1.1`, `X: ${'a'.repeat(100_000)}`), /^HTTP\/1.1 431 /)
  t.match(await raw(sidecar.url, 'this is not HTTP\r\n\r\n'), /^HTTP\/1.1 400 [^]*refstream: /)
  t.match(
    await head(`POST ${target} HTTP/1.1`, 'Content-Length: 0'),
    /^HTTP\/1.1 405 [^]*Allow: GET, HEAD\r\n/,
  )
  t.match(await head('GET /r.git/git-upload-pack HTTP/1.1'), /^HTTP\/1.1 405 [^]*Allow: POST\r\n/)
  t.match(await head(`DELETE ${target} HTTP/1.1`), /^HTTP\/1.1 405 /)
  t.match(await head('GET /r.git/info/refs?service=git-evil-pack HTTP/1.1'), /^HTTP\/1.1 403 [^]*\r\n\r\n$/)

  // A Kerberos ticket is as long as this, and all headers that fit are read.
  const ticket = `Authorization: Negotiate ${'a'.repeat(64_000)}`
  t.match(await head(`GET ${target} HTTP/1.1`, ticket), /^HTTP\/1.1 200 /)
  const many = Array.from({ length: 3000 }, (_, index) => `X${index}: y`)
  const last = await head(`GET ${target} HTTP/1.1`, ...many, 'Git-Protocol: version=2')
  t.match(last, /^HTTP\/1.1 200 [^]*version 2/)
  const odd = await head(`GET ${target} HTTP/1.1`, 'Expect: the-unexpected')
  t.match(odd, /^HTTP\/1.1 200 /, 'Git ignores expectations')

  const garbage = [
    'version=3',
    'version=2:',
    ':::version=1:x=y',
    'version=02',
    '\x01',
    '$(id)',
    'a'.repeat(8000),
  ]
  for (const value of garbage) {
    const { status, body } = await ask(infoRefs(sidecar.url, 'r.git'), {
      headers: { 'Git-Protocol': value.replace('\x01', 'é') },
    })
    t.equal(status, 200, `Git-Protocol: ${value.slice(0, 20)}`)
    t.match(body.subarray(-4).toString(), '0000')
  }
  t.match(await head(`GET ${target}%0d%0aX-Injected:1 HTTP/1.1`), /^HTTP\/1.1 403 (?![^]*Injected)/)
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200, 'it still serves')
})

t.test('no header reaches Git’s environment unchecked', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const seen = join(tempDir(t), 'environment')
  writeFileSync(join(repository, 'hooks/pre-receive'), `#!/bin/sh\nenv > '${seen}'\n`, { mode: 0o755 })
  writeFileSync(join(root, 'git'), `#!/bin/sh\nenv > '${seen}'\nexec git "$@"\n`, { mode: 0o755 })
  const sidecar = await startSidecar(t, root, { args: ['--git', join(root, 'git')] })
  const { readFileSync } = await import('node:fs')
  await ask(`${sidecar.url}/r.git/git-upload-pack`, {
    method: 'POST',
    headers: {
      'Git-Protocol': 'version=2:evil=1',
      'Content-Type': 'text/plain; x=é',
      'Content-Encoding': 'evil',
      'X-Remote-User': 'evil',
      Proxy: 'http://evil',
      'Remote-User': 'evil',
    },
    body: '0000',
  })
  const environment = readFileSync(seen, 'utf8')
  t.match(environment, /^HTTP_GIT_PROTOCOL=version=2$/m)
  t.notMatch(environment, /evil|HTTP_PROXY/)
})

t.test('the maximum length of a request head is a setting', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--max-header-bytes', '200KiB'] })
  const status = async (bytes: number): Promise<string> => {
    const head = `GET /r.git/HEAD HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ${'c'.repeat(bytes)}\r\n\r\n`
    return (await raw(sidecar.url, head)).slice(9, 12)
  }
  t.equal(await status(200_000), '200')
  t.equal(await status(210_000), '431')
})
