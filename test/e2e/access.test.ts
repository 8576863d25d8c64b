import t from 'tap'
import type { Test } from 'tap'
import { hashSync } from 'bcryptjs'
import { realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveAuthorizer } from '../support/authorizer.js'
import { contents } from '../support/contents.js'
import { eventually } from '../support/eventually.js'
import { run } from '../support/hooked.js'
import { ask, infoRefs, raw } from '../support/http-client.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** The authorizer shares the processor with other tests and may be slow. */
const patient = ['--auth-timeout-seconds', '60']

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})
const secrets = { token: 'tok-5up3rs3cret', password: 'pass-5up3rs3cret', wrong: 'wrong-5up3rs3cret' }

function files(t: Test) {
  const directory = tempDir(t)
  const [tokens, htpasswd] = [join(directory, 'tokens'), join(directory, 'htpasswd')]
  writeFileSync(tokens, `# robots\nrobot:${sha256(secrets.token)}\n`)
  writeFileSync(
    htpasswd,
    `alice:${hashSync(secrets.password, 4)}\nbob:${hashSync('b', 4).replace('$2b', '$2y')}\n`,
  )
  return { tokens, htpasswd }
}

t.test('Git clients with passwords and tokens get what the rules allow', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const { tokens, htpasswd } = files(t)
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--auth-tokens', tokens, '--auth-htpasswd', htpasswd, '--log-level', 'trace'],
      ...['--access', '**=read:*, r.git=push:alice'],
    ],
  })
  const host = sidecar.url.slice('http://'.length)
  const environment = { ...gitEnvironment, HOME: work }
  const client = (...args: string[]) => run({ cwd: work, environment }, 'git', ...args)
  const bearer = `http.extraHeader=Authorization: Bearer ${secrets.token}`

  t.same(await client('clone', '-q', `http://alice:${secrets.password}@${host}/r.git`, 'one'), {
    status: 0,
    output: '',
  })
  t.same(await client('clone', '-q', `http://x:${secrets.token}@${host}/r.git`, 'two'), {
    status: 0,
    output: '',
  })
  t.same(await client('-c', bearer, 'clone', '-q', `http://${host}/r`, 'three'), { status: 0, output: '' })
  t.match((await client('clone', '-q', `http://${host}/r.git`, 'four')).output, /terminal prompts disabled/)
  t.match(
    (await client('clone', `http://alice:${secrets.wrong}@${host}/r.git`, 'five')).output,
    /Authentication failed/,
  )

  git(join(work, 'one'), 'commit', '--quiet', '--allow-empty', '-m', 'two')
  t.same(
    await client('-C', 'one', 'push', '-q', 'origin', 'HEAD:main'),
    { status: 0, output: '' },
    'REMOTE_USER is set',
  )
  t.equal(git(repository, 'rev-parse', 'main'), git(join(work, 'one'), 'rev-parse', 'HEAD'))
  t.match(
    (await client('-C', 'two', 'push', '-q', 'origin', 'HEAD:x')).output,
    /403/,
    'permission to read is none to push',
  )

  const status = async (url: string, headers: Record<string, string>) => (await ask(url, { headers })).status
  for (const path of ['r.git', 'nothing.git']) {
    for (const service of ['git-upload-pack', 'git-receive-pack', 'x']) {
      t.equal(await status(infoRefs(sidecar.url, path, service), {}), 401, `${path} ${service}`)
    }
    t.equal(await status(infoRefs(sidecar.url, path, 'git-receive-pack'), basic('bob', 'b')), 403, path)
    t.equal(await status(`${sidecar.url}/${path}/HEAD`, {}), 401)
  }
  const refused = await ask(infoRefs(sidecar.url, 'r.git'))
  const challenges = refused.rawHeaders.filter((_, index, all) => all[index - 1] === 'WWW-Authenticate')
  t.same(challenges, ['Basic realm="refstream", charset="UTF-8"', 'Bearer realm="refstream"'])
  t.equal(await status(infoRefs(sidecar.url, 'nothing.git'), basic('alice', secrets.password)), 404)
  for (const header of [
    'Basic',
    'Basic !!',
    `Bearer ${secrets.wrong}`,
    'Negotiate x',
    `Basic ${secrets.token}`,
  ]) {
    t.equal(await status(infoRefs(sidecar.url, 'r.git'), { Authorization: header }), 401, header)
  }

  writeFileSync(htpasswd, `alice:${hashSync('another', 4)}\n`)
  process.kill(sidecar.pid, 'SIGHUP')
  await eventually('the file is read again', () => sidecar.log.some(({ what }) => what === 'auth-htpasswd'))
  t.equal(
    await status(infoRefs(sidecar.url, 'r.git'), basic('alice', secrets.password)),
    401,
    'the old password is not remembered',
  )
  t.equal(await status(infoRefs(sidecar.url, 'r.git'), basic('alice', 'another')), 200)

  const metrics = (await ask(`${sidecar.adminUrl}/metrics`)).body.toString()
  t.match(metrics, /outcome="unauthenticated"/)
  const kept = [
    JSON.stringify(sidecar.log),
    metrics,
    contents(sidecar.cacheDir),
    refused.body.toString(),
    contents(repository),
  ]
  for (const text of kept) t.notMatch(text, /5up3rs3cret|NXVwM3JzM2NyZXQ|another:/, 'no credentials')
})

t.test('an authorizer decides', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const { url, asked } = await serveAuthorizer(t, (request, response) => {
    const { authorization } = request.headers
    if (authorization === basic('alice', secrets.password).Authorization) {
      response.setHeader('Remote-User', 'alice').end()
    } else if (authorization === 'x') response.writeHead(500).end(secrets.wrong)
    else if (authorization) response.writeHead(403).end(secrets.wrong)
    else response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="theirs"' }).end()
  })
  const sidecar = await startSidecar(t, root, {
    args: [...patient, '--auth-url', url, '--auth-cache-seconds', '3600', '--log-level', 'trace'],
  })
  const get = (headers: Record<string, string>, repository = 'r.git') =>
    ask(infoRefs(sidecar.url, repository), { headers })
  const storm = await Promise.all(Array.from({ length: 50 }, () => get(basic('alice', secrets.password))))
  t.ok(storm.every(({ status }) => status === 200))
  t.equal(asked.length, 1, 'concurrent requests share one request to the authorizer')
  t.match(asked[0]?.headers, {
    'x-original-method': 'GET',
    'x-original-uri': '/r.git/info/refs?service=git-upload-pack',
    'x-refstream-repository': 'r.git',
    'x-refstream-service': 'git-upload-pack',
    'x-forwarded-for': '127.0.0.1',
  })
  const unknown = await get({})
  t.equal(unknown.status, 401)
  t.equal(unknown.headers['www-authenticate'], 'Basic realm="theirs"')
  const forbidden = await get(basic('mallory', secrets.password))
  t.equal(forbidden.status, 403)
  t.notMatch(forbidden.body.toString(), /5up3rs3cret/)
  t.equal((await get({ Authorization: 'x' })).status, 503)
  t.equal((await get(basic('alice', secrets.password), 'other.git')).status, 404)
  t.equal(asked.length, 5)

  const push = await ask(infoRefs(sidecar.url, 'r.git', 'git-receive-pack'), {
    headers: basic('alice', secrets.password),
  })
  t.equal(push.status, 200, 'Git allows a push by a named user')
  t.notMatch(JSON.stringify(sidecar.log), /5up3rs3cret|NXVwM3JzM2NyZXQ/)
})

t.test('all requests are denied while the authorizer is unavailable', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const silent = await serveAuthorizer(t, () => {})
  for (const [what, url] of Object.entries({ down: 'http://127.0.0.1:1/', silent: silent.url })) {
    const sidecar = await startSidecar(t, root, {
      args: ['--auth-url', url, '--auth-timeout-seconds', '0.2'],
    })
    const answer = await ask(infoRefs(sidecar.url, 'r.git'))
    t.equal(answer.status, 503, what)
    t.equal(answer.headers['retry-after'], '1')
    await eventually('it is logged', () =>
      sidecar.log.some(({ msg }) => /^auth-url unavailable; denying all requests/.test(msg as string)),
    )
  }
})

t.test('100 Continue is sent only after access was granted', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const { tokens } = files(t)
  const sidecar = await startSidecar(t, root, { args: ['--auth-tokens', tokens] })
  const post = (authorization: string, rest: string) =>
    raw(
      sidecar.url,
      `POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n${authorization}` +
        `Content-Type: application/x-git-upload-pack-request\r\n${rest}`,
    )
  const waits = 'Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n'
  t.match(await post('', waits), /^HTTP\/1\.1 401 /)
  const allowed = await post(
    `Authorization: Bearer ${secrets.token}\r\nConnection: close\r\n`,
    'Expect: 100-continue\r\nContent-Length: 4\r\n\r\n0000',
  )
  t.match(allowed, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
  // A whole request sent at once is answered all the same, and so is the request after it.
  const big = 'x'.repeat(3_000_000)
  const both = await post(
    '',
    `Content-Length: ${big.length}\r\n\r\n${big}GET /r.git/HEAD HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  )
  t.equal(both.match(/HTTP\/1\.1 401 /g)?.length, 2)
})
