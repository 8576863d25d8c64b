import t from 'tap'
import { createHash } from 'node:crypto'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, infoRefs, open } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

t.test('200 cold requests on 100,000 refs cost one upload-pack', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'big.git')
  addPackedBranches(repository, 100_000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'big.git')

  const storm = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const { status, body } = await ask(url)
      return `${status} ${body.length} ${digest(body)}`
    }),
  )
  t.equal(new Set(storm).size, 1, 'all bodies are equal')
  t.match(storm[0], /^200 /)
  t.equal(wrapper.count('upload-pack'), 1, 'one process')
  t.equal(wrapper.count('http-backend'), 0)

  const warm = await ask(url)
  t.equal(`${warm.status} ${warm.body.length} ${digest(warm.body)}`, storm[0], 'a later answer is the same')
  t.equal(wrapper.count('upload-pack'), 1, 'and costs no process')
  t.equal(warm.body.toString('latin1').match(/ refs\/heads\//g)?.length, 100_001)

  const reused = async (outcome: string): Promise<number> =>
    sidecar.metric('refstream_requests_total', { kind: 'advertisement', outcome })
  t.equal(await reused('filled'), 1)
  t.equal((await reused('joined')) + (await reused('hit')), 200)
})

t.test('after a change, all later requests share one more process', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'r.git')
  await ask(url)
  git(repository, 'update-ref', 'refs/heads/new', 'refs/heads/main')
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(url)))
  for (const { body } of answers) t.match(body.toString(), /refs\/heads\/new\n/)
  await eventually(
    'one more, besides audits',
    async () => wrapper.count('upload-pack') === 2 + (await sidecar.metric('refstream_splice_audits_total')),
  )
})

t.test('followers get their first bytes before Git has finished', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 2000)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(plans.pause(1000))
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'r.git')
  // Both bodies are read at the same time, up to where Git pauses.
  const responses = await Promise.all([open(url, {}), open(url, {})])
  const bodies = responses.map((response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    return { response, size: () => chunks.reduce((sum, chunk) => sum + chunk.length, 0) }
  })
  await eventually('both have what Git has written', () => bodies.every(({ size }) => size() >= 1000))
  await eventually('Git pauses', () => wrapper.hasFile('paused'))
  t.ok(bodies.every(({ size }) => size() < 2000))
  const ends = bodies.map(({ response }) => new Promise((resolve) => response.on('end', resolve)))
  wrapper.signal('go')
  await Promise.all(ends)
  t.ok(bodies.every(({ size }) => size() > 100_000))
  t.equal(wrapper.count('upload-pack'), 1)
})
