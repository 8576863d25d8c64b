import t from 'tap'
import { hashSync } from 'bcryptjs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { gitIn, run } from '../support/hooked.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const linesOf = (sidecar: SpawnedSidecar, event: string) =>
  sidecar.log.filter((line) => line['event.name'] === event)

t.test(
  'a push has a line that says who, from where, what, the status, and the id that its client was told',
  async (t) => {
    const root = tempDir(t)
    const repository = makeRepository(root, 'r.git')
    const passwords = join(tempDir(t), 'passwords')
    writeFileSync(passwords, `alice:${hashSync('S3CRET', 4)}\n`)
    const sidecar = await startSidecar(t, root, {
      args: ['--auth-htpasswd', passwords, '--request-id-header', 'X-Request-Id'],
    })
    const work = tempDir(t)
    const url = `http://alice:S3CRET@${new URL(sidecar.url).host}/r.git`
    await gitIn(work, 'clone', '--quiet', url, 'clone')
    const clone = join(work, 'clone')
    await gitIn(clone, 'commit', '--quiet', '--allow-empty', '-m', 'two')
    const options = {
      cwd: clone,
      environment: { ...gitEnvironment, GIT_TRACE_CURL: '1', GIT_TRACE_CURL_NO_DATA: '1' },
    }
    const { status, output } = await run(options, 'git', 'push', 'origin', 'HEAD:refs/heads/main')
    t.equal(status, 0)
    t.equal(git(repository, 'rev-parse', 'main'), git(clone, 'rev-parse', 'HEAD'))
    const told = [...output.matchAll(/<= Recv header: x-request-id: (\S+)/gi)].map(([, id]) => id)
    await eventually('the push is logged', () => linesOf(sidecar, 'refstream.push').length > 0)
    const [line, ...more] = linesOf(sidecar, 'refstream.push')
    t.same(more, [])
    t.match(line, {
      'user.name': 'alice',
      'client.address': '127.0.0.1',
      'http.request.method': 'POST',
      'url.path': '/r.git/git-receive-pack',
      'refstream.repository': 'r.git',
      'http.response.status_code': 200,
      'user_agent.original': /^git\//,
    })
    t.equal(line?.['refstream.request.id'], told.at(-1), 'the last response of the push')
    t.ok(told.length > 1)
    t.equal(new Set(told).size, told.length, 'each request has an id of its own')
    t.notMatch(JSON.stringify(sidecar.log), 'S3CRET')
  },
)

t.test('a trusted proxy gives a request its id, and no other client does', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const args = ['--request-id-header', 'X-Request-Id', '--access-log', 'all']
  const trusting = await startSidecar(t, root, { args: [...args, '--trusted-proxies', '127.0.0.1'] })
  const other = await startSidecar(t, root, { args })
  const told = async (sidecar: SpawnedSidecar, given: string): Promise<unknown> => {
    const url = infoRefs(sidecar.url, 'r.git')
    return (await ask(url, { headers: { 'X-Request-Id': given } })).headers['x-request-id']
  }
  const own = /^[\da-f]{8}-[\da-f-]{27}$/
  t.equal(await told(trusting, 'a1b2-c3'), 'a1b2-c3')
  t.match(await told(trusting, 'a b'), own)
  t.match(await told(trusting, 'x'.repeat(129)), own)
  t.match(await told(other, 'a1b2-c3'), own)
  const rejected = await ask(`${trusting.url}/none.git/info/refs`, { headers: { 'X-Request-Id': 'lost' } })
  t.match(rejected, { status: 404, headers: { 'x-request-id': 'lost' } })
  await eventually('all are logged', () => linesOf(trusting, 'refstream.request').length === 4)
  t.match(linesOf(trusting, 'refstream.request')[0], { 'refstream.request.id': 'a1b2-c3' })
})

t.test('without the setting, responses have no such header', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  t.notOk('x-request-id' in (await ask(infoRefs(sidecar.url, 'r.git'))).headers)
})
