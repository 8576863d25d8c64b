import t from 'tap'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { fetchV0, fetchV2, postFetch, readFetchAnswer } from '../support/posted-fetch.js'
import { ask, infoRefs } from '../support/http-client.js'
import { startPacks, storm } from '../support/pack-setup.js'
import { makePackRepository } from '../support/pack-repository.js'
import { makePackWrapper } from '../support/pack-wrapper.js'
import { git } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('requests that differ in agent or session id alone share a pack; others do not', async (t) => {
  const { repository, sidecar, wrapper } = await startPacks(t, {
    config: { 'transfer.advertiseSID': 'true' },
  })
  const [main, topic] = ['main', 'topic'].map((branch) => git(repository, 'rev-parse', branch))
  const args = ['thin-pack', 'ofs-delta', `want ${main}`, `want ${topic}`, 'done']
  const post = async (...request: Parameters<typeof fetchV2>): Promise<Buffer> => {
    const { status, body } = await postFetch(sidecar.url, 'r.git', fetchV2(...request))
    t.equal(status, 200)
    t.ok(readFetchAnswer(body).pack.length > 0)
    return body
  }
  const first = await post(args, ['agent=git/2.20.1', 'object-format=sha1'])
  t.equal(wrapper.packs(), 1)
  for (const capabilities of [
    ['agent=git/2.47.0-Linux', 'object-format=sha1'],
    ['object-format=sha1'],
    ['object-format=sha1', 'agent=JGit/6'],
  ]) {
    t.ok((await post(args, capabilities)).equals(first), capabilities.join(' '))
  }
  const gzipped = { 'content-encoding': 'gzip' }
  for (const level of [1, 9]) {
    const { body } = await postFetch(sidecar.url, 'r.git', gzipSync(fetchV2(args), { level }), {
      headers: gzipped,
    })
    t.ok(body.equals(first), `gzip ${level}`)
  }
  t.ok((await postFetch(sidecar.url, 'r', fetchV2(args))).body.equals(first), 'without .git in its name')
  t.equal(wrapper.packs(), 1, 'one run for all of them')

  // Git refuses a session id where it does not offer one: such a request shares with others that have one.
  for (const id of ['one', 'another']) {
    await post(args, ['agent=x', 'object-format=sha1', `session-id=${id}`])
    t.equal(wrapper.packs(), 2, `session-id=${id}`)
  }

  const others: string[][] = [
    ['ofs-delta', `want ${main}`, `want ${topic}`, 'done'],
    ['thin-pack', 'ofs-delta', 'no-progress', `want ${main}`, `want ${topic}`, 'done'],
    ['thin-pack', 'ofs-delta', 'include-tag', `want ${main}`, `want ${topic}`, 'done'],
    ['thin-pack', 'ofs-delta', `want ${main}`, `want ${topic}`, 'deepen 1', 'done'],
    ['thin-pack', 'ofs-delta', `want ${main}`, `want ${topic}`, 'deepen 2', 'done'],
    ['thin-pack', 'ofs-delta', 'filter blob:none', `want ${main}`, `want ${topic}`, 'done'],
    ['thin-pack', 'ofs-delta', 'filter tree:1', `want ${main}`, `want ${topic}`, 'done'],
    ['thin-pack', 'ofs-delta', `want ${main}`, 'done'],
    [
      'thin-pack',
      'ofs-delta',
      `want ${main}`,
      `want ${topic}`,
      `have ${git(repository, 'rev-parse', 'v1^{}')}`,
      'done',
    ],
  ]
  for (const [index, other] of others.entries()) {
    await post(other)
    t.equal(wrapper.packs(), 3 + index, other.join(', '))
  }
  for (const version of [0, 1] as const) {
    const before = wrapper.packs()
    for (const agent of ['agent=git/1', 'agent=git/2']) {
      const body = fetchV0(main!, ['done'], `side-band-64k ofs-delta ${agent}`)
      t.equal((await postFetch(sidecar.url, 'r.git', body, { version })).status, 200)
    }
    t.equal(wrapper.packs(), before + 1, `v${version}`)
  }
})

t.test('in v0 and v1 a push to any branch ends the life of a pack', async (t) => {
  const { repository, sidecar, wrapper } = await startPacks(t)
  const main = git(repository, 'rev-parse', 'main')
  for (const version of [0, 1] as const) {
    for (const name of ['a', 'b']) {
      const before = wrapper.packs()
      git(repository, 'update-ref', `refs/heads/${name}-${version}`, 'topic')
      const post = () => postFetch(sidecar.url, 'r.git', fetchV0(main), { version })
      t.ok(readFetchAnswer((await post()).body).pack.length > 0)
      t.equal(wrapper.packs(), before + 1, `v${version}, ${name}`)
    }
  }
})

t.test('two repositories with the same objects share nothing, and access is checked first', async (t) => {
  const root = tempDir(t)
  const open = makePackRepository(root, 'open.git')
  cpSync(open, join(root, 'private.git'), { recursive: true })
  const wrapper = makePackWrapper(t)
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `robot:${sha256('secret')}\n`)
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--git', wrapper.path, '--auth-tokens', tokens],
      ...['--access', 'open.git=read:anyone, private.git=read:robot'],
    ],
  })
  const robot = { authorization: 'Bearer secret' }
  const [main, parent] = ['main', 'main~1'].map((name) => git(open, 'rev-parse', name))
  const post = async (repository: string, want: string, headers = {}): Promise<number> => {
    const body = fetchV2(['ofs-delta', `want ${want}`, 'done'])
    return (await postFetch(sidecar.url, repository, body, { headers })).status
  }
  t.equal((await ask(infoRefs(sidecar.url, 'open.git'))).status, 200)

  t.equal(await post('open.git', main!), 200)
  t.equal(await post('private.git', main!), 401)
  t.equal(wrapper.packs(), 1)
  t.equal(await post('private.git', main!, robot), 200)
  t.equal(wrapper.packs(), 2, 'the private one has a pack of its own')

  t.equal(await post('private.git', parent!, robot), 200)
  t.equal(await post('private.git', parent!, robot), 200)
  t.equal(wrapper.packs(), 3, 'which is kept')
  t.equal(await post('private.git', parent!), 401, 'but not given to others')
  t.equal(await post('private.git', parent!, { authorization: 'Bearer wrong' }), 401)
  t.equal(await post('open.git', parent!), 200)
  t.equal(wrapper.packs(), 4)
})

t.test('a request without access does not join a running fill', async (t) => {
  const root = tempDir(t)
  const repository = makePackRepository(root, 'r.git')
  const wrapper = makePackWrapper(t)
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `robot:${sha256('secret')}\n`)
  const args = ['--git', wrapper.path, '--auth-tokens', tokens, '--access', '**=read:robot']
  const sidecar = await startSidecar(t, root, { args })
  const body = fetchV2([`want ${git(repository, 'rev-parse', 'main')}`, 'done'])
  const post = async (headers: Record<string, string>): Promise<number> =>
    (await postFetch(sidecar.url, 'r.git', body, { headers })).status
  const setup = { wrapper, sidecar }
  const statuses = await storm(
    setup,
    4,
    () => post({ authorization: 'Bearer secret' }),
    async () => {
      t.equal(await post({}), 401)
    },
  )
  t.same(statuses, [200, 200, 200, 200])
  t.equal(wrapper.packs(), 1)
})

t.test('http.uploadpack applies to kept packs', async (t) => {
  const { repository, sidecar, wrapper } = await startPacks(t)
  const body = fetchV2([`want ${git(repository, 'rev-parse', 'main')}`, 'done'])
  const status = async (): Promise<number> => (await postFetch(sidecar.url, 'r.git', body)).status
  t.equal(await status(), 200)
  git(repository, 'config', 'http.uploadpack', 'false')
  t.equal(await status(), 403, 'a kept pack is not served')
  git(repository, 'config', 'http.uploadpack', 'true')
  const before = wrapper.packs()
  t.equal(await status(), 200)
  t.equal(wrapper.packs(), before + 1, 'the configuration is another one')
})
