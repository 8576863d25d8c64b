import t from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { Agent, get as httpGet, type IncomingMessage } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { plans } from '../support/git-wrapper.js'
import { ask, open } from '../support/http-client.js'
import { git, makeRepository } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { cleanEnvironment, program, startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { runs, workersOf } from '../support/worker-processes.js'
import { askAnew, startWorkers, upOf, whileStopped } from '../support/workers.js'

if (process.platform !== 'linux') {
  t.plan(0, 'the tests read /proc')
  process.exit()
}

const answered = (sidecar: SpawnedSidecar): Promise<number> =>
  sidecar.metric('refstream_requests_total', { kind: 'advertisement' })

t.test('workers serve on the same addresses, and their metrics are summed', async (t) => {
  const { root, sidecar, url, privateDirectories } = await startWorkers(t)
  const workers = workersOf(sidecar.pid)
  t.equal(workers.length, 2)
  t.equal(sidecar.log.filter(({ msg }) => msg === 'listening').length, 1)
  t.same(privateDirectories().length, 1)
  git(root, 'clone', '--quiet', `${sidecar.url}/r.git`, join(tempDir(t), 'clone'))
  // The clone has asked once. A worker that is stopped keeps none of the connections from the other.
  let asked = 1
  for (const other of workers) {
    await whileStopped(other, async () => {
      for (let time = 0; time < 3; time++, asked++) t.equal(await askAnew(url), 200)
    })
  }
  t.equal(await answered(sidecar), asked)
  t.equal(await sidecar.metric('refstream_workers', { state: 'up' }), 2)
  t.equal(await sidecar.metric('refstream_process_limit'), 16, 'limits are divided')
  const text = (await ask(`${sidecar.adminUrl}/metrics`)).body.toString()
  for (const worker of ['primary', '1', '2'])
    t.match(text, `process_resident_memory_bytes{worker="${worker}"} `)
  t.equal(text.match(/^refstream_fleet_engine_up/gm)?.length, 1)

  await whileStopped(workers[0]!, async () => {
    const late = (
      await ask(`${sidecar.adminUrl}/metrics`, { headers: { Connection: 'close' } })
    ).body.toString()
    t.match(late, 'refstream_workers{state="up"} 1\n')
    t.match(late, 'refstream_workers{state="missing"} 1\n')
    const counted = [...late.matchAll(/^refstream_requests_total\{.*kind="advertisement".* (\d+)$/gm)]
    t.equal(
      counted.reduce((sum, [, count]) => sum + Number(count), 0),
      asked,
      'no counter goes down',
    )
  })
  t.equal(await sidecar.stop(), 0)
  t.same(privateDirectories(), [])
})

/** Sends requests on one kept-alive connection until told to stop. @returns the statuses, `broken` if it broke */
function keepAsking(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const seen: (number | undefined)[] = []
  let isOver = false
  let isBroken = false
  const run = async (): Promise<void> => {
    while (!isOver && !isBroken) {
      await new Promise<void>((resolve) => {
        httpGet(url, { agent }, (response: IncomingMessage) => {
          seen.push(response.statusCode)
          response.resume().on('close', resolve)
        }).on('error', () => {
          isBroken = true
          resolve()
        })
      })
    }
    agent.destroy()
  }
  const running = run()
  return {
    seen,
    isBroken: () => isBroken,
    stop: async () => {
      isOver = true
      await running
    },
  }
}

t.test(
  'a worker that is killed under load is started again, and the other one does not notice',
  async (t) => {
    const { sidecar, url } = await startWorkers(t)
    const [first, second] = workersOf(sidecar.pid) as [number, number]
    t.equal(await askAnew(url), 200)
    const clients: ReturnType<typeof keepAsking>[] = []
    // One client of each worker, since the other one is stopped while it connects.
    for (const stopped of [second, first]) {
      await whileStopped(stopped, async () => {
        const client = keepAsking(url)
        clients.push(client)
        await eventually('it is answered', () => client.seen.length > 0)
      })
    }
    const before = await answered(sidecar)
    process.kill(first, 'SIGKILL')
    await eventually('the client of the killed worker sees it', () => clients[0]!.isBroken())
    for (let time = 0; time < 5; time++)
      t.equal(await askAnew(url), 200, 'new connections are served at once')
    await eventually('it is started again', async () => {
      return (await upOf(sidecar)) === 2
    })
    t.notOk(workersOf(sidecar.pid).includes(first))
    t.equal(await sidecar.metric('refstream_workers_restarts_total'), 1)
    t.ok((await answered(sidecar)) > before, 'its counts stay in the sum')
    t.match(
      sidecar.log.find(({ msg }) => msg === 'a worker has ended; it is started again'),
      { worker: 1, code: 'SIGKILL' },
    )
    // The new one serves on the same port.
    await whileStopped(second, async () => void t.equal(await askAnew(url), 200))
    await clients[1]!.stop()
    t.notOk(clients[1]!.isBroken())
    t.same(new Set(clients[1]!.seen), new Set([200]))
  },
)

t.test('kill -9 of the primary leaves no process and no directory', async (t) => {
  const { wrapper, sidecar, url, privateDirectories } = await startWorkers(t)
  const workers = workersOf(sidecar.pid)
  wrapper.plan(`echo $$ > "$dir/pid"; ${plans.wait}`)
  const client = ask(url).catch(() => 'broken')
  await eventually('Git runs', () => wrapper.hasFile('pid'))
  const gitPid = Number(wrapper.read('pid'))
  t.ok(runs(gitPid))
  t.equal(await sidecar.stop('SIGKILL'), 'SIGKILL')
  for (const pid of [...workers, gitPid]) await eventually(`${pid} has ended`, () => !runs(pid))
  t.equal(await client, 'broken')
  t.same(privateDirectories(), [])
})

t.test('SIGTERM: requests under way are finished; a second signal ends all at once', async (t) => {
  const { wrapper, sidecar, url, privateDirectories } = await startWorkers(t)
  wrapper.plan(`echo $$ > "$dir/pid"; ${plans.wait}`)
  const client = ask(url)
  await eventually('Git runs', () => wrapper.hasFile('pid'))
  // As a terminal does, which signals the whole group.
  for (const pid of workersOf(sidecar.pid)) process.kill(pid, 'SIGTERM')
  const exit = sidecar.stop()
  await eventually('new connections are refused', () =>
    askAnew(sidecar.url).then(
      () => false,
      () => true,
    ),
  )
  wrapper.signal('go')
  t.equal((await client).status, 200)
  t.equal(await exit, 0)
  t.same(privateDirectories(), [])

  const again = await startWorkers(t)
  again.wrapper.plan(`trap '' TERM; echo $$ > "$dir/pid"; ${plans.wait}`)
  const broken = ask(again.url).catch(() => 'broken')
  await eventually('Git runs', () => again.wrapper.hasFile('pid'))
  const pids = [...workersOf(again.sidecar.pid), Number(again.wrapper.read('pid'))]
  const exitAtOnce = again.sidecar.stop()
  await eventually('it drains', () => again.sidecar.log.some(({ signal }) => signal === 'SIGTERM'))
  process.kill(again.sidecar.pid, 'SIGINT')
  t.equal(await exitAtOnce, 1)
  t.equal(await broken, 'broken')
  for (const pid of pids) await eventually(`${pid} has ended`, () => !runs(pid))
})

/** Asks on a Unix socket, on a connection of its own. @returns the body */
async function askSocket(socketPath: string, path: string): Promise<string> {
  const response = await open(`http://localhost${path}`, { socketPath })
  return Buffer.concat((await response.toArray()) as Buffer[]).toString()
}

/** Runs `serve` with settings that it refuses. */
const refused = (root: string, ...args: string[]) => {
  const where = ['--root', root, '--workers', '2', '--listen', '127.0.0.1:0']
  const command = [program, 'serve', ...where, ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { env: cleanEnvironment })
  return { status, stdout: stdout.toString(), stderr: stderr.toString() }
}

t.test('settings that cannot be used are reported once, with exit code 2', async (t) => {
  const root = tempDir(t)
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const inUse = refused(root, '--admin', `127.0.0.1:${port}`, '--cache-dir', join(tempDir(t), 'cache'))
  t.match(inUse, { status: 2, stdout: '' })
  t.match(
    inUse.stderr,
    new RegExp(`^refstream: --admin: cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE.*\n$`),
  )
  const mistakes = refused(join(root, 'none'), '--webhook-secret-file', join(root, 'nothing'))
  t.equal(mistakes.status, 2)
  t.equal(mistakes.stderr.trim().split('\n').length, 2, 'each mistake once')
})

t.test('Unix sockets: all workers listen on one socket, which is removed at the end', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const [admin, grpc] = [join(tempDir(t), 'admin.sock'), join(tempDir(t), 'grpc.sock')]
  // Left by a process that was killed.
  const script = 'require("net").createServer().listen(process.argv[1], () => console.log())'
  const dead = spawn(process.execPath, ['-e', script, admin], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(dead.stdout, 'data')
  dead.kill('SIGKILL')
  await once(dead, 'close')
  t.ok(existsSync(admin))
  const cacheDir = join(tempDir(t), 'cache')
  const args = ['--workers', '2', '--admin', `unix:${admin}`, '--grpc', `unix:${grpc}`]
  const sidecar = await startSidecar(t, root, { cacheDir, args })
  t.same([sidecar.adminUrl, sidecar.grpcTarget], [`unix:${admin}`, `unix:${grpc}`])
  for (const path of [admin, grpc]) t.equal(statSync(path).mode & 0o777, 0o660)
  const workers = workersOf(sidecar.pid)
  const healthy = await askSocket(admin, '/healthz')
  for (const other of workers) {
    await whileStopped(other, async () => {
      t.equal(await askSocket(admin, '/healthz'), healthy)
    })
  }
  process.kill(workers[1]!, 'SIGKILL')
  await eventually('it is started again', async () => {
    return (
      (await askSocket(admin, '/metrics')).includes('refstream_workers{state="up"} 2\n') &&
      !workersOf(sidecar.pid).includes(workers[1]!)
    )
  })
  const other = refused(root, '--admin', `unix:${admin}`, '--cache-dir', cacheDir)
  t.match(other, {
    status: 2,
    stderr: `refstream: --admin: cannot listen on unix:${admin}: another process listens there\n`,
  })
  t.equal(await askSocket(admin, '/healthz'), healthy)
  t.equal(await sidecar.stop(), 0)
  for (const path of [admin, grpc]) t.notOk(existsSync(path))
})

t.test('SIGHUP has all workers read files again', async (t) => {
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `alice:${sha256('one')}\n`)
  const { sidecar, url } = await startWorkers(t, '--auth-tokens', tokens)
  const status = async (token: string): Promise<number> =>
    (await ask(url, { headers: { Authorization: `Bearer ${token}`, Connection: 'close' } })).status
  t.equal(await status('one'), 200)
  writeFileSync(tokens, `alice:${sha256('two')}\n`)
  process.kill(sidecar.pid, 'SIGHUP')
  for (const other of workersOf(sidecar.pid)) {
    await whileStopped(other, () =>
      eventually('it knows the new token', async () => (await status('two')) === 200),
    )
  }
})
