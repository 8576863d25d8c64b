import t from 'tap'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { readersOf } from '../support/history-run.js'
import { violations, type Read, type Write } from '../support/history.js'
import { LeaseClient } from '../support/lease-client.js'
import { misbehavingClient, disturbGit, makeCacheDisk, processesOf } from '../support/chaos.js'
import { Random } from '../support/random.js'
import { gitEnvironment } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { tempDir } from '../support/temp-dir.js'
import { allWriters, type Value } from '../support/writers.js'

const run = promisify(execFile)
const minutes = Number(process.env['REFSTREAM_CHAOS_MINUTES'] ?? 0)
const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)
/** How often a fault is injected, unless the run is given in minutes. */
const faults = 25

const limits = {
  'max-processes': '4',
  'queue-max': '4',
  'queue-wait-seconds': '1',
  'max-requests': '50',
  'client-idle-seconds': '1',
  'request-idle-seconds': '1',
  'fill-first-byte-seconds': '1',
  'fill-silence-seconds': '1',
  'cache-min-free-bytes': '1MiB',
  'cache-min-free-inodes': '0',
}

t.test(`under random faults, answers are whole and fresh, or visible errors: seed ${seed}`, async (t) => {
  t.setTimeout((minutes * 60 + 120) * 1000)
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const wrapper = makeGitWrapper(t)
  const disk = makeCacheDisk(t)
  const args = Object.entries(limits).flatMap(([name, value]) => [`--${name}`, value])
  const options = { cacheDir: disk.cacheDir, args: ['--git', wrapper.path, ...args] }
  let sidecar = await startSidecar(t, root, options)
  const { url, adminUrl } = sidecar
  const ports = ['--listen', new URL(url).host, '--admin', new URL(adminUrl).host]
  const again = { ...options, args: [...options.args, ...ports] }

  const random = new Random(seed)
  const writers = allWriters({ ...repository, url }).filter(({ throughSidecar }) => !throughSidecar)
  const registers = writers.flatMap((writer) => writer.registers)
  const readers = readersOf(url, repository.path, registers)
  const leases = new LeaseClient(adminUrl, repository.path)
  const writes: Write[] = []
  const reads: Read[] = []
  const counts = { failed: 0, kills: 0, diskLines: 0, faults: 0, pushes: 0 }
  let over = false

  const write = async (writer: (typeof writers)[number], index: number): Promise<void> => {
    const random = new Random(seed + 1 + index)
    const now = new Map<string, Value>(writer.registers.map((register) => [register, undefined]))
    if (now.has('HEAD')) now.set('HEAD', 'refs/heads/main')
    for (const [register, value] of now) writes.push({ register, value, start: -Infinity, end: -Infinity })
    while (!over) {
      const change = writer.next(now, random)
      // The sidecar may be down: then it gets no lease.
      const lease = random.below(2) === 0 ? await leases.open(1).catch(() => undefined) : undefined
      const start = performance.now()
      await change.run()
      const end = performance.now()
      if (lease !== undefined) await leases.end(lease).catch(() => {})
      for (const [register, value] of change.values) {
        writes.push({ register, value, start, end })
        now.set(register, value)
      }
      await sleep(random.pick([0, 10, 100, 300]))
    }
  }
  const read = async (reader: (typeof readers)[number]): Promise<void> => {
    while (!over) {
      const answer = await reader.read().catch(() => undefined)
      if (answer) reads.push(answer)
      else counts.failed++
      await sleep(answer ? 1 : 50)
    }
  }
  /** Pushes refs that no reader checks; it may fail. */
  const push = async (): Promise<void> => {
    while (!over) {
      const refspec = `${random.pick(repository.commits)}:refs/heads/chaos`
      const args = [
        '-C',
        repository.clone,
        'push',
        '--quiet',
        '--force',
        `${url}/${repository.path}`,
        refspec,
      ]
      await run('git', args, { env: gitEnvironment, timeout: 10_000 }).then(
        () => counts.pushes++,
        () => {},
      )
      await sleep(100)
    }
  }
  const kill = async (dying: SpawnedSidecar): Promise<void> => {
    t.equal(await dying.stop('SIGKILL'), 'SIGKILL', 'it had not ended by itself')
    const lines = dying.log.filter((line) => /cache/.test(String(line['msg'])) && Number(line['level']) > 30)
    counts.diskLines = Math.max(counts.diskLines, lines.length)
  }
  const disturb = async (): Promise<void> => {
    const until = Date.now() + minutes * 60_000
    for (; minutes > 0 ? Date.now() < until : counts.faults < faults; counts.faults++) {
      disturbGit(wrapper, random)
      for (let count = random.below(6); count > 0; count--) misbehavingClient(url, repository.path, random)
      if (random.below(4) === 0) disk.disturb(random)
      if (random.below(10) === 0) {
        counts.kills++
        await kill(sidecar)
        // It also starts with a read-only or full cache directory.
        sidecar = await startSidecar(t, root, again)
      }
      await sleep(random.pick([50, 200, 500]))
    }
  }
  const end = (): boolean => (over = true)
  await Promise.all([
    disturb().finally(end),
    ...writers.map((writer, index) => write(writer, index).finally(end)),
    ...[...readers, ...readers].map((reader) => read(reader)),
    push(),
  ])

  wrapper.plan(undefined)
  wrapper.plan(undefined, 'http-backend')
  disk.repair()
  // A key that has failed repeatedly backs off, for a minute at the longest.
  let tries = 0
  for (const reader of readers) {
    for (; ; tries++) {
      const answer = await reader.read().catch(() => undefined)
      if (answer) reads.push(answer)
      if (answer ?? tries > 1000) break
      await sleep(100)
    }
  }
  t.ok(tries <= 1000, `all is well again, after ${tries} tries`)
  const stale = violations(writes, reads)
  t.same(stale, [], `no answer is older than its request, or than another before it (seed ${seed})`)
  t.ok(reads.length > 20, 'readers had answers')
  for (const name of [
    'followers',
    'requests_under_way',
    'processes_running',
    'process_permits_held',
    'process_permits_waiting',
  ]) {
    const metric = (): Promise<number> => sidecar.metric(`refstream_${name}`)
    await eventually(`${name} is 0`, async () => (await metric()) === 0)
  }
  await eventually('no process is left', () => processesOf(wrapper).length === 0)
  const temp = join(disk.cacheDir, 'instance-0', 'temp')
  await eventually('no file is left', () => !existsSync(temp) || readdirSync(temp).length === 0)
  await kill(sidecar)
  t.ok(counts.diskLines <= 20 + 10 * minutes, `${counts.diskLines} lines about the disk`)
  const { failed, kills, pushes } = counts
  const summary =
    `seed ${seed}: ${reads.length} reads, ${failed} visible errors, ${writes.length} writes, ${pushes} pushes, ` +
    `${counts.faults} faults, ${kills} kills, recovered after ${tries} tries, stale = ${stale.length}`
  if (minutes > 0) console.error(summary)
  else t.comment(summary)
})
