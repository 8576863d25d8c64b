import t from 'tap'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { fetchV2, postFetch, readFetchAnswer, uploadPackHeaders } from '../support/posted-fetch.js'
import { ask, infoRefs, open } from '../support/http-client.js'
import { makePackRepository } from '../support/pack-repository.js'
import { eventuallyFollowed, startPacks, storm, type PackSetup } from '../support/pack-setup.js'
import { packPlans } from '../support/pack-wrapper.js'
import { git } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const wants = ({ repository }: PackSetup, name: string): string[] => [
  `want ${git(repository, 'rev-parse', name)}`,
]

const fetchOf = (setup: PackSetup, name: string): Buffer =>
  fetchV2(['ofs-delta', ...wants(setup, name), 'done'])

/** Starts a fetch; resolves with the number of objects in its pack. */
async function objectsFor({ sidecar }: PackSetup, body: Buffer): Promise<number> {
  const answer = await postFetch(sidecar.url, 'r.git', body)
  return readFetchAnswer(answer.body).pack.readUInt32BE(8)
}

t.test('at most --max-pack-processes make packs; others wait for them, and refs do not', async (t) => {
  const setup = await startPacks(t, { args: ['--max-pack-processes', '1'] })
  const { sidecar, wrapper } = setup
  wrapper.planPacks(packPlans.waitFor('go'))
  const answers = ['main', 'main~1', 'main~2', 'topic'].map((name) => objectsFor(setup, fetchOf(setup, name)))
  await eventuallyFollowed(sidecar, 4)
  await eventually('one runs', () => wrapper.packs() === 1)
  const waiting = (): Promise<number> => sidecar.metric('refstream_process_permits_waiting')
  await eventually('three wait', async () => (await waiting()) === 3)
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200, 'refs are answered meanwhile')
  t.equal(wrapper.packs(), 1)
  wrapper.signal('go')
  for (const count of await Promise.all(answers)) t.ok(count > 50)
  t.equal(wrapper.packs(), 4)
})

t.test('all clients of a storm leave: Git goes on to its end, for those that come back', async (t) => {
  const setup = await startPacks(t, { args: ['--pack-grace-seconds', '0'] })
  const { sidecar, wrapper } = setup
  wrapper.planPacks(packPlans.pauseAfter(500, 'go'))
  const options = { method: 'POST', headers: { ...uploadPackHeaders, 'git-protocol': 'version=2' } }
  const post = () => open(`${sidecar.url}/r.git/git-upload-pack`, options, fetchOf(setup, 'main'))
  const clients = await Promise.all(Array.from({ length: 30 }, post))
  for (const client of clients) client.destroy()
  await eventuallyFollowed(sidecar, 0)
  wrapper.signal('go')
  const running = (): Promise<number> => sidecar.metric('refstream_processes_running')
  await eventually('no process is left', async () => (await running()) === 0)
  t.ok((await objectsFor(setup, fetchOf(setup, 'main'))) > 50)
  t.equal(wrapper.packs(), 1)
})

t.test('a sidecar that is stopped sends its packs to the end', async (t) => {
  const setup = await startPacks(t, { bulk: 1_000_000 })
  setup.wrapper.planPacks(packPlans.pauseAfter(200_000, 'go'))
  const clients = [1, 2].map(() => objectsFor(setup, fetchOf(setup, 'main')))
  await eventuallyFollowed(setup.sidecar, 2)
  await eventually('Git pauses', () => setup.wrapper.hasFile('paused'))
  const stopped = setup.sidecar.stop()
  await eventually('it stops', () =>
    setup.sidecar.log.some(({ msg }) => /stop|drain|shut/i.test(String(msg))),
  )
  setup.wrapper.signal('go')
  for (const count of await Promise.all(clients)) t.ok(count > 50)
  t.equal(await stopped, 0)
})

t.test('with uploadpack.packObjectsHook the hook runs for every fetch', async (t) => {
  const root = tempDir(t)
  const repository = makePackRepository(root, 'r.git')
  const home = join(tempDir(t), 'home')
  mkdirSync(home)
  const [hook, calls] = [join(home, 'hook'), join(home, 'calls')]
  writeFileSync(hook, `#!/bin/sh\necho run >> '${calls}'\nexec "$@"\n`)
  chmodSync(hook, 0o755)
  writeFileSync(join(home, '.gitconfig'), `[uploadpack]\n\tpackObjectsHook = ${hook}\n`)
  const sidecar = await startSidecar(t, root, { environment: { HOME: home } })
  const setup = { sidecar, repository } as PackSetup
  for (const count of [1, 2]) {
    t.ok((await objectsFor(setup, fetchOf(setup, 'main'))) > 50)
    t.ok(existsSync(calls))
    t.equal(readFileSync(calls, 'utf8').split('\n').length - 1, count)
  }
  t.equal(await sidecar.metric('refstream_packs_passed_total', { reason: 'hook' }), 2)
})

t.test('a pack that is older than --pack-max-age-seconds is made again', async (t) => {
  const setup = await startPacks(t, { args: ['--pack-max-age-seconds', '1'] })
  await objectsFor(setup, fetchOf(setup, 'main'))
  await eventually('it is made again', async () => {
    await objectsFor(setup, fetchOf(setup, 'main'))
    return setup.wrapper.packs() >= 2
  })
  t.equal(setup.wrapper.packs(), 2)
})

t.test('with --pack-max-age-seconds 0 only fetches at the same time share a pack', async (t) => {
  const setup = await startPacks(t, { args: ['--pack-max-age-seconds', '0'] })
  const body = fetchOf(setup, 'main')
  for (const runs of [1, 2]) {
    const counts = await storm(setup, 5, () => objectsFor(setup, body))
    t.equal(new Set(counts).size, 1)
    t.equal(setup.wrapper.packs(), runs)
  }
})

t.test('without memory and disk for packs all answers are right', async (t) => {
  const args = ['--pack-memory-max-bytes', '0', '--pack-cache-max-bytes', '0']
  const setup = await startPacks(t, { args, bulk: 3_000_000 })
  const counts = await storm(setup, 5, () => objectsFor(setup, fetchOf(setup, 'main')))
  t.same(new Set(counts), new Set([await objectsFor(setup, fetchOf(setup, 'main'))]))
})

t.test('slow clients of packs for which the disk has no room keep no other pack waiting', async (t) => {
  const noRoom = ['--pack-memory-max-bytes', '0', '--pack-cache-max-bytes', '0']
  const args = ['--max-pack-processes', '1', '--pack-grace-seconds', '0', ...noRoom]
  const setup = await startPacks(t, { args, bulk: 40_000_000 })
  const { sidecar } = setup
  const options = { method: 'POST', headers: { ...uploadPackHeaders, 'git-protocol': 'version=2' } }
  const slow = await open(`${sidecar.url}/r.git/git-upload-pack`, options, fetchOf(setup, 'main'))
  t.ok(
    (await objectsFor(setup, fetchV2(['deepen 1', ...wants(setup, 'main'), 'filter blob:none', 'done']))) > 1,
  )
  const held = (permitClass: string): Promise<number> =>
    sidecar.metric('refstream_process_permits_held', { class: permitClass })
  t.equal(await held('pass'), 1)
  await eventually('the other is gone', async () => (await held('pack')) === 0)
  slow.destroy()
  await eventually('no permit is lost', async () => (await held('pass')) === 0)
})
