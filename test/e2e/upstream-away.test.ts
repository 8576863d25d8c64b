import t, { type Test } from 'tap'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { startFaultProxy, type Fault, type FaultProxy } from '../support/fault-proxy.js'
import { complaint, gitClient } from '../support/git-client.js'
import { ask, infoRefs, type Answer } from '../support/http-client.js'
import { startPlainServer } from '../support/plain-server.js'
import { Random } from '../support/random.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.setTimeout(300_000)

const root = tempDir(t)
const repository = makeRepository(root, 'r.git')
const names = Array.from({ length: 8 }, (_, index) => `r${index}.git`)
for (const name of names) symlinkSync(repository, join(root, name))
const server = await startPlainServer(t, root)

const start = async (t: Test, ...args: string[]): Promise<{ proxy: FaultProxy; sidecar: SpawnedSidecar }> => {
  const proxy = await startFaultProxy(t, { target: server })
  return { proxy, sidecar: await startSidecar(t, undefined, { args: ['--upstream', proxy.url, ...args] }) }
}

const get = (sidecar: SpawnedSidecar, name = 'r.git', headers = {}): Promise<Answer> =>
  ask(infoRefs(sidecar.url, name), { headers })

const always: [when: () => boolean, times: number] = [() => true, Infinity]
const away: Fault = { kind: 'answer', status: 503, body: 'out for lunch\nand more' }

t.test('clients of an upstream that is away share its error, and do not add to its load', async (t) => {
  const { proxy, sidecar } = await start(t)
  proxy.fault(away, ...always)
  for (let wave = 1; wave <= 4; wave++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => get(sidecar)))
    for (const { status, headers, body } of answers) {
      if (status !== 503) t.fail(`wave ${wave}: ${status}`)
      if (!/^\d+$/.test(headers['retry-after'] ?? '')) t.fail(`wave ${wave}: no Retry-After`)
      if (!/answered 503: out for lunch/.test(body.toString())) t.fail(`wave ${wave}: ${body.toString()}`)
    }
    // Two questions in a row do not block: the first may be by chance. Then there are pauses.
    t.ok(proxy.requests.length <= 2 + wave, `200 clients at most, ${proxy.requests.length} requests`)
  }
  const failure = await complaint(gitClient(2)(tempDir(t), 'ls-remote', `${sidecar.url}/r.git`))
  t.match(failure, /503/)
  proxy.clear()
  await eventually('it answers again', async () => (await get(sidecar)).status === 200)
  t.equal(await sidecar.metric('refstream_followers'), 0)
  t.ok(proxy.connections.most <= 32)
})

t.test('an upstream that listens no more, and comes back', async (t) => {
  const { sidecar } = await start(t)
  const gone = await startSidecar(t, undefined, { args: ['--upstream', 'http://127.0.0.1:9'] })
  const answers = await Promise.all(Array.from({ length: 50 }, () => get(gone)))
  for (const { status, body } of answers)
    if (status !== 503 || !/cannot connect: ECONNREFUSED/.test(body.toString())) t.fail(body.toString())
  t.match(await complaint(gitClient(0)(tempDir(t), 'ls-remote', `${gone.url}/r.git`)), /503/)
  t.equal((await get(sidecar)).status, 200)
})

t.test('Retry-After: none asks before that time, then one does, for all repositories', async (t) => {
  const { proxy, sidecar } = await start(t, '--upstream-head-seconds', '3')
  proxy.fault({ kind: 'answer', status: 429, headers: { 'Retry-After': '2' }, body: 'too many' })
  const all = (): Promise<Answer[]> => Promise.all(names.map((name) => get(sidecar, name)))
  const first = await get(sidecar, 'r.git')
  const from = performance.now()
  t.equal(first.status, 503)
  t.match(first.headers['retry-after'], /^[23]$/)
  t.match(first.body.toString(), /answered 429: too many/)
  t.equal(await sidecar.metric('refstream_upstream_breaker_open'), 1)
  for (const { status, body } of await all())
    if (status !== 503 || !/asked again in \d+ seconds/.test(body.toString())) t.fail(body.toString())
  t.equal(proxy.requests.length, 1, 'nobody asks meanwhile')

  // The probe gets no answer for three seconds.
  proxy.fault({ kind: 'hang', after: 0 })
  await eventually('it is asked again', async () => {
    void all()
    await new Promise((resolve) => setTimeout(resolve, 100))
    return proxy.requests.length > 1
  })
  t.ok(performance.now() - from >= 2000, 'not before that time')
  for (let wave = 0; wave < 3; wave++) await all().then((answers) => answers.map(({ status }) => status))
  t.equal(proxy.requests.length, 2, 'a single probe')
  await eventually('it answers again', async () => (await get(sidecar)).status === 200)
  t.equal(proxy.requests.length, 3, 'the next probe has succeeded')
  for (const { status } of await all()) t.equal(status, 200)
  t.equal(await sidecar.metric('refstream_upstream_breaker_open'), 0)
})

t.test(
  '--upstream-stale-seconds: what is kept answers while the upstream is away, and says so',
  async (t) => {
    const { proxy, sidecar } = await start(t, '--upstream-stale-seconds', '600')
    const work = tempDir(t)
    const clients = ([0, 2] as const).map((version) => () => {
      return gitClient(version)(work, 'ls-remote', '--symref', `${sidecar.url}/r.git`)
    })
    const [v0, v2] = [await clients[0]!(), await clients[1]!()]
    const fresh = await get(sidecar)
    t.notOk(fresh.headers.age ?? fresh.headers.warning, 'an answer that is not old does not say so')
    git(repository, 'branch', 'new', 'main')
    proxy.fault(away, ...always)
    t.equal(await clients[0]!(), v0, 'v0')
    t.equal(await clients[1]!(), v2, 'v2')
    const stale = await get(sidecar)
    t.equal(stale.status, 200)
    t.ok(stale.body.equals(fresh.body))
    t.match(stale.headers.age, /^\d+$/)
    t.equal(stale.headers.warning, '110 refstream "Response is Stale"')
    t.ok((await sidecar.metric('refstream_upstream_stale_answers_total')) >= 4)
    proxy.clear()
    await eventually('the new branch is seen', async () =>
      (await get(sidecar)).body.includes('refs/heads/new'),
    )

    // A refusal is an answer: nothing that is kept is given in its place, or afterwards.
    const challenge = { 'WWW-Authenticate': 'Basic realm="x"' }
    proxy.fault({ kind: 'answer', status: 401, headers: challenge, body: 'no' }, ...always)
    const refused = await get(sidecar)
    t.equal(refused.status, 401)
    t.equal(refused.headers['www-authenticate'], 'Basic realm="x"')
    proxy.clear()
    proxy.fault(away, ...always)
    t.equal((await get(sidecar)).status, 503, 'it was forgotten')
    git(repository, 'branch', '-D', 'new')
  },
)

t.test('a refstream above a refstream: what one repository suffers does not stop the others', async (t) => {
  const place = tempDir(t)
  const broken = makeRepository(place, 'broken.git')
  makeRepository(place, 'sound.git')
  writeFileSync(join(broken, 'packed-refs'), 'no line that Git can read\n')
  const far = await startSidecar(t, place)
  const near = await startSidecar(t, undefined, { args: ['--upstream', far.url] })
  for (let count = 0; count < 8; count++) {
    t.equal((await get(near, 'broken.git')).status, 503)
    t.equal((await get(near, 'sound.git')).status, 200)
  }
  t.equal(await near.metric('refstream_upstream_breaker_open'), 0)
})

t.test('random faults under many clients: each answer is whole, or an error', { timeout: 0 }, async (t) => {
  const { proxy, sidecar } = await start(t)
  const random = new Random(Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000))
  const versions = [{}, { 'Git-Protocol': 'version=2' }]
  const expected = await Promise.all(
    versions.map(async (headers) => (await ask(infoRefs(server, 'r.git'), { headers })).body),
  )
  const counts = { whole: 0, error: 0, cut: 0 }
  const client = async (): Promise<void> => {
    const which = random.below(2)
    const name = random.pick(names)
    const answer = await get(sidecar, name, versions[which]).catch(() => undefined)
    if (!answer) counts.cut++
    else if (answer.status === 200) {
      counts.whole++
      if (!answer.body.equals(expected[which]!)) t.fail(`a wrong answer: ${answer.body.toString()}`)
    } else {
      counts.error++
      if (answer.status !== 503) t.fail(`status ${answer.status}: ${answer.body.toString()}`)
    }
  }
  for (let round = 0; round < 40; round++) {
    proxy.fault(
      random.pick<Fault>([
        { kind: 'reset', after: random.below(900) },
        { kind: 'close', after: random.below(900) },
        { kind: 'truncated-chunks', after: random.below(300) },
        { kind: 'wrong-length', by: random.below(40) - 20 },
        { kind: 'garbage' },
      ]),
    )
    await Promise.all(Array.from({ length: 10 }, client))
    proxy.clear()
  }
  t.comment(JSON.stringify(counts))
  t.ok(counts.whole > 0)
  await eventually('it answers again', async () => (await get(sidecar)).status === 200)
  await eventually('nothing is under way', async () => {
    return (await sidecar.metric('refstream_requests_under_way')) === 0
  })
  t.equal(await sidecar.metric('refstream_followers'), 0)
  t.equal(await sidecar.metric('refstream_processes_running'), 0)
  await eventually('both sides know the same connections', async () => {
    return (await sidecar.metric('refstream_upstream_connections')) === proxy.connections.open
  })
})
