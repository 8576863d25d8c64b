import t from 'tap'
import { createHmac } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask } from '../support/http-client.js'
import { git } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { runs, workersOf } from '../support/worker-processes.js'
import { connectToEach, startWorkers, whileStopped, type Send } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

const leaseMode = ['--freshness', 'lease', '--unleased-max-age-seconds', '3600']

/** Asks the admin API on a connection of its own. */
async function api({ adminUrl }: SpawnedSidecar, method: string, path: string, body?: object) {
  const text = body && JSON.stringify(body)
  const headers = text && {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(text)),
  }
  const answer = await ask(adminUrl + path, {
    method,
    ...(text && { body: text }),
    ...(headers && { headers }),
  })
  const json = answer.body.toString()
  return {
    status: answer.status,
    body: (json === '' ? {} : JSON.parse(json)) as { id: string; leases: { id: string }[] },
  }
}

const open = async (sidecar: SpawnedSidecar, ttlSeconds = 600): Promise<string> => {
  const { status, body } = await api(sidecar, 'POST', '/v1/leases', { repository: 'r.git', ttlSeconds })
  if (status !== 201) throw new Error(`status ${status}`)
  return body.id
}

const listed = async (sidecar: SpawnedSidecar): Promise<string[]> =>
  (await api(sidecar, 'GET', '/v1/leases')).body.leases.map(({ id }) => id)

const branches = async (send: Send): Promise<string[]> => {
  const { status, body } = await send('/r.git/info/refs?service=git-upload-pack')
  if (status !== 200) throw new Error(`status ${status}`)
  return [...body.toString().matchAll(/ refs\/heads\/(\S+?)[\0\n]/g)].map(([, name = '']) => name)
}

t.test('a lease is the same at all workers', async (t) => {
  const { root, wrapper, sidecar } = await startWorkers(t, ...leaseMode)
  const workers = workersOf(sidecar.pid) as [number, number]
  const [first, second] = workers
  const clients = await connectToEach(t, sidecar.url, workers)
  const fills = (): number => wrapper.count('upload-pack')
  for (const client of clients) t.same(await branches(client), ['main'])
  t.equal(fills(), 1)

  let id = ''
  await whileStopped(second, async () => {
    id = await open(sidecar)
  })
  await whileStopped(first, async () => {
    t.same(await listed(sidecar), [id])
  })
  t.same(await branches(clients[1]), ['main'])
  t.same(await branches(clients[1]), ['main'])
  t.equal(fills(), 3, 'nothing is reused while it is open')
  t.equal(await sidecar.metric('refstream_leases_open'), 1)
  git(join(root, 'r.git'), 'update-ref', 'refs/heads/new', 'refs/heads/main')
  await whileStopped(first, async () => {
    const renewed = await api(sidecar, 'PUT', `/v1/leases/${id}`, { ttlSeconds: 700 })
    t.match(renewed, { status: 200, body: { id, ttlSeconds: 700 } })
    t.equal((await api(sidecar, 'DELETE', `/v1/leases/${id}`)).status, 204)
  })
  for (const client of clients) t.same(await branches(client), ['main', 'new'])
  t.equal(fills(), 4)
  t.equal(await sidecar.metric('refstream_leases_open'), 0, 'also at the worker that has opened it')
  t.equal(await sidecar.metric('refstream_leases_opened_total'), 1)
  t.equal(await sidecar.metric('refstream_leases_ended_total'), 1)
  t.equal((await api(sidecar, 'DELETE', `/v1/leases/${id}`)).status, 404)
})

t.test('a webhook through one worker counts for all', async (t) => {
  const secretFile = join(tempDir(t), 'secret')
  writeFileSync(secretFile, 'geheim\n')
  const { root, wrapper, sidecar } = await startWorkers(
    t,
    ...[...leaseMode, '--webhook-secret-file', secretFile],
  )
  const workers = workersOf(sidecar.pid) as [number, number]
  const clients = await connectToEach(t, sidecar.url, workers)
  for (const client of clients) t.same(await branches(client), ['main'])
  git(join(root, 'r.git'), 'update-ref', 'refs/heads/new', 'refs/heads/main')
  for (const client of clients) t.same(await branches(client), ['main'], 'nothing has told of the change')
  t.equal(wrapper.count('upload-pack'), 1)
  const body = JSON.stringify({ ref: 'refs/heads/new', repository: { full_name: 'r' } })
  const signature = createHmac('sha256', 'geheim').update(body).digest('hex')
  await whileStopped(workers[1], async () => {
    const headers = { 'X-Hub-Signature-256': `sha256=${signature}`, 'X-GitHub-Event': 'push' }
    const answer = await ask(`${sidecar.adminUrl}/v1/webhooks/github`, { method: 'POST', headers, body })
    t.equal(answer.status, 204)
  })
  for (const client of [...clients].reverse()) t.same(await branches(client), ['main', 'new'])
  t.equal(wrapper.count('upload-pack'), 2)
})

t.test('leases survive a crash of all processes, and a restart', async (t) => {
  const { root, wrapper, sidecar } = await startWorkers(t, ...leaseMode)
  const [id, ended] = [await open(sidecar), await open(sidecar)]
  t.equal((await api(sidecar, 'DELETE', `/v1/leases/${ended}`)).status, 204)
  const workers = workersOf(sidecar.pid)
  for (const pid of workers) process.kill(pid, 'SIGKILL')
  t.equal(await sidecar.stop('SIGKILL'), 'SIGKILL')
  for (const pid of workers) await eventually(`${pid} has ended`, () => !runs(pid))

  const start = (): Promise<SpawnedSidecar> => {
    const args = ['--workers', '2', '--git', wrapper.path, ...leaseMode]
    return startSidecar(t, root, { cacheDir: sidecar.cacheDir, args })
  }
  const again = await start()
  const clients = await connectToEach(t, again.url, workersOf(again.pid))
  for (const client of clients) t.same(await branches(client), ['main'])
  t.equal(wrapper.count('upload-pack'), 2, 'nothing is reused while it is open')
  t.same(await listed(again), [id])
  t.equal(await again.metric('refstream_leases_open'), 1)
  t.equal((await api(again, 'PUT', `/v1/leases/${id}`)).status, 200)
  t.equal(await again.stop(), 0)

  const last = await start()
  t.same(await listed(last), [id], 'it survives a regular end too')
  t.equal((await api(last, 'DELETE', `/v1/leases/${id}`)).status, 204)
  t.equal(await last.metric('refstream_leases_open'), 0)
})

t.test('without a usable cache directory leases work, and this is logged once', async (t) => {
  const file = join(tempDir(t), 'file')
  writeFileSync(file, '')
  const { root } = await startWorkers(t)
  const sidecar = await startSidecar(t, root, { cacheDir: file, args: ['--workers', '2', ...leaseMode] })
  const id = await open(sidecar)
  t.same(await listed(sidecar), [id])
  const lost = sidecar.log.filter(({ msg }) => String(msg).startsWith('leases cannot be written'))
  t.equal(lost.length, 1)
  t.ok(existsSync(file))
})
