import t, { type Test } from 'tap'
import { PassThrough } from 'node:stream'
import type { Observer } from '../../../../src/origin/disk/observation/observer.js'
import { Git } from '../../../../src/git/process/git.js'
import { StallDetector } from '../../../../src/limits/connection/stall-detector.js'
import { ProcessLimiter } from '../../../../src/limits/process/process-limiter.js'
import { GitBackend } from '../../../../src/origin/disk/backend/git-backend.js'
import type { DiskLeases } from '../../../../src/origin/disk/disk-leases.js'
import { Metrics } from '../../../../src/telemetry/metrics.js'
import { repositoryAt } from '../../../support/found-repository.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { passThroughRequestOf } from '../../../support/pass-through-request.js'
import { git, gitEnvironment, makeRepository } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

const never = new AbortController().signal
const admission = { admitted: false, queueing: never, signal: never }
const infoRefs = passThroughRequestOf({ resource: '/info/refs', service: 'git-upload-pack' })
/** A push whose body does not come. */
const push = () =>
  passThroughRequestOf({
    method: 'POST',
    resource: '/git-receive-pack',
    contentType: 'application/x-git-receive-pack-request',
    remoteUser: 'somebody',
    body: { beginning: Buffer.alloc(0), ended: false, rest: new PassThrough() },
  })

/** A backend for one repository, `r.git`, that is not exported. */
function openBackend(
  t: Test,
  { exportAll = true, limiter }: { exportAll?: boolean; limiter?: ProcessLimiter } = {},
) {
  const path = makeRepository(tempDir(t), 'r.git', { exported: false })
  git(path, 'config', 'http.receivepack', 'true')
  const repository = repositoryAt(path)
  const observer = {
    observe: async (name: string) => (name === 'r.git' ? { repository } : undefined),
  } as unknown as Observer
  /** What was done with leases. */
  const leases: string[] = []
  const hold: DiskLeases['hold'] = (held, reason) => {
    leases.push(`hold ${held === repository} ${reason}`)
    return () => void leases.push('end')
  }
  const clock = new FakeClock()
  const metrics = new Metrics()
  const backend = new GitBackend({
    exportAll,
    git: new Git({ path: 'git', environment: gitEnvironment, ...(limiter ? { limiter } : {}) }),
    observer,
    leases: { hold },
    processStalls: new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock }),
    metrics,
  })
  const cuts = async (): Promise<number> => (await metrics.passThroughCut.get()).values[0]?.value ?? 0
  return { backend, leases, clock, cuts }
}

t.test('a request that changes nothing is answered without a lease', async (t) => {
  const { backend, leases } = openBackend(t)
  const answer = await backend.passThrough({ path: 'r.git' }, infoRefs, admission)
  t.equal(answer.status, 200)
  answer.body.resume()
  t.equal(await answer.whole(), true)
  t.same(leases, [])
})

t.test('a repository that is not exported is for Git to refuse', async (t) => {
  const { backend } = openBackend(t, { exportAll: false })
  const answer = await backend.passThrough({ path: 'r.git' }, infoRefs, admission)
  t.equal(answer.status, 404)
  answer.end()
  await answer.whole()
})

t.test('a target that is not there, or not the same any more, starts nothing', async (t) => {
  const { backend, leases } = openBackend(t)
  for (const [target, name] of [
    [{ path: 'x.git' }, 'RepositoryNotFound'],
    [{ path: 'r.git', identity: 'another' }, 'RepositoryExchanged'],
  ] as const) {
    await t.rejects(backend.passThrough(target, infoRefs, admission), { name })
    await t.rejects(backend.mutate(target, push(), admission), { name })
  }
  t.same(leases, [])
})

t.test('a service that Git does not know is refused, whether the repository is there or not', async (t) => {
  const { backend } = openBackend(t)
  const asked = passThroughRequestOf({ resource: '/info/refs', service: 'git-x' })
  for (const path of ['r.git', 'x.git']) {
    await t.rejects(backend.passThrough({ path }, asked, admission), { name: 'ServiceDisabled' })
  }
})

t.test('a push holds a lease for as long as its process runs', async (t) => {
  const { backend, leases } = openBackend(t)
  const answer = await backend.mutate({ path: 'r.git' }, push(), admission)
  t.same(leases, ['hold true push'])
  answer.end()
  await answer.whole()
  t.same(leases, ['hold true push', 'end'])
})

t.test('a push that does not get a permit holds no lease', async (t) => {
  const queue = { perGroup: 1, queueMax: 0, waitMs: 1000 }
  const limiter = new ProcessLimiter({ limit: 3, fill: queue, pack: { ...queue, most: 1 }, pass: queue })
  const { backend, leases } = openBackend(t, { limiter })
  const first = await backend.mutate({ path: 'r.git' }, push(), admission)
  await t.rejects(backend.mutate({ path: 'r.git' }, push(), admission), { name: 'Overloaded' })
  t.same(leases, ['hold true push'])
  first.end()
  await first.whole()
})

t.test('a process that moves no byte for too long is ended', async (t) => {
  const { backend, leases, clock, cuts } = openBackend(t)
  const answer = await backend.mutate({ path: 'r.git' }, push(), admission)
  answer.body.on('error', () => {}).resume()
  clock.advance(500)
  t.equal(await cuts(), 0)
  clock.advance(2000)
  t.equal(await cuts(), 1)
  t.equal(await answer.whole(), false)
  t.same(leases, ['hold true push', 'end'])
  t.equal(clock.timers, 0)
})
