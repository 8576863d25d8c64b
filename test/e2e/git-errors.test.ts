import t from 'tap'
import { hashSync } from 'bcryptjs'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runHttpBackend } from '../support/cgi.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, connect, infoRefs, raw } from '../support/http-client.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { startWrapped } from '../support/wrapped-sidecar.js'

const run = promisify(execFile)
const pkt = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text
const missing = '1234567890'.repeat(4)
const uploadPack = { 'content-type': 'application/x-git-upload-pack-request' }

/** Escapes a text for printf(1). */
const inShell = (text: string): string => text.replaceAll('\n', '\\n').replaceAll('\x03', '\\003')

/** Returns the error output of a Git client that fails. */
async function says(...args: string[]): Promise<string> {
  const failed = await run('git', args, { env: gitEnvironment }).then(
    () => ({ stderr: 'it did not fail' }),
    (error: unknown) => error as { stderr: string },
  )
  return failed.stderr
}

const outcomes = (sidecar: SpawnedSidecar, outcome: string): Promise<number> =>
  sidecar.metric('refstream_requests_total', { outcome })

t.test('an answer that ends in Git’s error message is whole: clients show the reason', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const client = join(tempDir(t), 'client')
  git(root, 'init', '--quiet', client)
  for (const version of ['0', '2']) {
    const words = await says(
      ...['-c', `protocol.version=${version}`, '-C', client],
      ...['fetch', '--depth=1', `${sidecar.url}/r.git`, missing],
    )
    // In v0 a client checks first whether its wants are advertised.
    if (version === '2') t.match(words, `remote error: upload-pack: not our ref ${missing}`)
    t.notMatch(words, /RPC failed|unexpected|hung up/, words)
  }
  for (const [gitProtocol, body] of [
    [undefined, `${pkt(`want ${missing} side-band-64k ofs-delta\n`)}0000${pkt('done\n')}`],
    ['version=2', `${pkt('command=fetch')}0001${pkt(`want ${missing}\n`)}${pkt('done\n')}0000`],
  ] as const) {
    const target = '/r.git/git-upload-pack'
    const cgi = { target, method: 'POST', headers: uploadPack, body: Buffer.from(body), ended: () => {} }
    const expected = runHttpBackend(root, { ...cgi, gitProtocol })
    const headers = gitProtocol ? { ...uploadPack, 'Git-Protocol': gitProtocol } : uploadPack
    const answer = await ask(`${sidecar.url}${target}`, { method: 'POST', headers, body })
    t.match(expected.body, /ERR upload-pack: not our ref/)
    t.equal(answer.body.toString('latin1'), expected.body, 'Git’s own text, and then the end')
    const old = await raw(
      sidecar.url,
      [
        `POST ${target} HTTP/1.0`,
        ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
        ...[`Content-Length: ${body.length}`, '', body],
      ].join('\r\n'),
    )
    t.ok(old.endsWith(expected.body), 'to HTTP/1.0 as well')
  }
  t.equal(await outcomes(sidecar, 'error'), 0)
})

t.test(
  'an answer that is cut short is visible to clients and counted as an error; what came before it arrives',
  async (t) => {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const wrapper = makeGitWrapper(t)
    const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
    const head = 'Content-Type: application/x-git-upload-pack-result\\r\\n\\r\\n'
    const error = pkt('ERR no')
    const endings: Record<string, [said: string, whole: boolean]> = {
      'an error message': [pkt('NAK\n') + error, true],
      'the third band': [pkt('\x03oops'), true],
      'the third band and a flush packet': [`${pkt('\x03oops')}0000`, true],
      'half a message': [error.slice(0, -1), false],
      'a flush packet': ['0000', false],
      'a message and something after it': [`${error}0008N`, false],
    }
    let errors = 0
    for (const [what, [said, whole]] of Object.entries(endings)) {
      wrapper.plan(`cat > /dev/null; printf '${head}${inShell(said)}'; exit 1\n`, 'http-backend')
      for (const version of ['1.0', '1.1']) {
        const socket = connect(sidecar.url)
        let received = ''
        let ended = false
        let failed = false
        socket.setEncoding('latin1').on('data', (text: string) => (received += text))
        socket.on('end', () => (ended = true)).on('error', () => (failed = true))
        socket.write(
          `POST /r.git/git-upload-pack HTTP/${version}\r\nHost: x\r\nConnection: close\r\n` +
            'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 4\r\n\r\n0000',
        )
        await new Promise((resolve) => socket.once('close', resolve))
        t.match(received, said, `${what}, HTTP/${version}: it arrives`)
        if (version === '1.1') t.equal(received.endsWith('\r\n0\r\n\r\n'), whole, `${what}: whole or not`)
        else t.same([ended, failed], [whole, !whole], `${what}: ended or reset`)
        if (!whole) errors++
        await eventually('it is counted', async () => (await outcomes(sidecar, 'error')) === errors)
      }
    }
    t.equal(await outcomes(sidecar, 'passthrough'), 6)
  },
)

t.test('an early answer arrives while the rest of the request is still coming', async (t) => {
  const { wrapper, sidecar } = await startWrapped(t)
  const plans: Record<string, string> = {
    'Git’s refusal': `printf 'Status: 403 Forbidden\\r\\nX-Said: so\\r\\n\\r\\n'; exit 0\n`,
    'a broken answer': `printf 'X-Said: so\\r\\n\\r\\nsome of it'; exit 1\n`,
  }
  for (const [what, plan] of Object.entries(plans)) {
    wrapper.plan(plan, 'http-backend')
    for (const version of ['1.0', '1.1']) {
      const socket = connect(sidecar.url)
      let received = ''
      let failed = false
      socket.setEncoding('latin1').on('error', () => (failed = true))
      const end = new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
      socket.on('data', (text: string) => (received += text))
      socket.write(
        `POST /r.git/git-upload-pack HTTP/${version}\r\nHost: x\r\nConnection: close\r\n` +
          'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 50000000\r\n\r\n',
      )
      // It reads nothing until it has sent all this: by then the answer was sent long ago.
      socket.pause()
      const piece = Buffer.alloc(1 << 20)
      for (let count = 0; count < 8; count++) {
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
      }
      socket.resume()
      await end
      t.match(received, /^HTTP\/1.1 (?:403|200) [^]*X-Said: so\r\n/, `${what}, HTTP/${version}`)
      if (what === 'a broken answer') t.match(received, /some of it/)
      // Without a Content-Length, only a reset tells a client that the answer is not complete.
      t.equal(failed, what === 'a broken answer' && version === '1.0', `${what}, HTTP/${version}: reset?`)
      socket.destroy()
    }
  }
})

t.test('a client that is shed while it sends a pack receives the error', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--access', '**=read:anyone'] })
  const push = request(`${sidecar.url}/r.git/git-receive-pack`, {
    method: 'POST',
    headers: { Connection: 'close', 'Content-Length': 50_000_000 },
  })
  push.on('error', () => {})
  push.write(Buffer.alloc(1 << 20))
  const [response] = (await once(push, 'response')) as [import('node:http').IncomingMessage]
  t.equal(response.statusCode, 403)
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string
  t.match(text, /^refstream: /)
  push.destroy()
})

t.test('a client that may not push, or has a wrong password, gets a message', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const files = tempDir(t)
  writeFileSync(join(files, 'htpasswd'), `alice:${hashSync('right', 4)}\n`)
  const open = await startSidecar(t, root)
  const args = ['--auth-htpasswd', join(files, 'htpasswd')]
  const closed = await startSidecar(t, root, { args })
  const push = (url: string): Promise<string> =>
    says('-C', repository, 'push', `${url}/r.git`, 'main:refs/heads/new')
  const by = (login: string): string => closed.url.replace('//', `//${login}@`)
  t.match(
    await push(open.url),
    /^remote: refstream: pushing needs a user name: authenticate, or set http.receivepack=true/m,
  )
  t.match(await push(by('alice:wrong')), /^remote: refstream: wrong /m)
  t.equal(
    (await ask(infoRefs(closed.url, 'r.git'))).body.toString().includes('authentication required'),
    true,
  )
  git(repository, 'config', 'http.receivepack', 'false')
  t.match(
    await push(by('alice:right')),
    /^remote: refstream: pushing over HTTP is disabled for this repository/m,
  )
  // A POST without a GET before it: Git shows no text of such a response, other clients may.
  const headers = { 'Content-Type': 'application/x-git-receive-pack-request' }
  const posted = await ask(`${open.url}/r.git/git-receive-pack`, { method: 'POST', headers, body: '0000' })
  t.equal(posted.status, 403)
  t.match(posted.body.toString(), /^refstream: pushing needs a user name/)
  t.equal(await outcomes(open, 'forbidden'), 2)
})

t.test('garbage after a request does not change the answer', async (t) => {
  const { wrapper, sidecar } = await startWrapped(t)
  wrapper.plan('while [ ! -f "$dir/go" ]; do sleep 0.02; done\n', 'http-backend')
  const answer = raw(
    sidecar.url,
    `GET /r.git/HEAD HTTP/1.1\r\nHost: x\r\n\r\n${'no request at all\r\n'.repeat(100)}`,
  )
  await eventually('Git waits', () => wrapper.count('http-backend') === 1)
  wrapper.signal('go')
  t.match(await answer, /^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\nref: refs\/heads\/main\n$/)
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200)
})
