import t from 'tap'
import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.js'
import { cleanEnvironment, program } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

interface Asked {
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/** How a sidecar answers: the status, and what it says. undefined: not at all. */
type Reply = (asked: Asked, count: number) => [status: number, body?: unknown] | undefined

/** Starts a fake admin API of a sidecar, and records its requests. */
async function standIn(t: Test, reply: Reply): Promise<{ address: string; asked: Asked[] }> {
  const asked: Asked[] = []
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString() || 'null')
      const one = { method: request.method ?? '', path: request.url ?? '', body }
      asked.push(one)
      const [status, said] = reply(one, asked.filter(({ method }) => method === one.method).length) ?? []
      if (status === undefined) return
      response.writeHead(status, { 'Content-Type': 'application/json' })
      response.end(said === undefined ? '' : JSON.stringify(said))
    })
  }
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

/** A sidecar that knows one lease after the other: l1, l2 … */
const obliging: Reply = ({ method, path }, count) => {
  if (method === 'POST') return path === '/v1/leases' ? [201, { id: `l${count}` }] : [204]
  return method === 'PUT' ? [200, {}] : [204]
}

interface Run {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

function leaseRun(t: Test, address: string, command: string[], flags: string[] = []): Run {
  const args = ['lease', 'run', '--admin', address, '--repository', 'r.git', ...flags, '--', ...command]
  const child = spawn(process.execPath, [program, ...args], { env: cleanEnvironment, stdio: 'pipe' })
  t.teardown(() => child.kill('SIGKILL'))
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { pid: child.pid ?? 0, kill: (signal) => child.kill(signal), ended }
}

const told = (asked: Asked[]): string[] => asked.map(({ method, path }) => `${method} ${path}`)

t.test('a command runs while a lease is open', async (t) => {
  const { address, asked } = await standIn(t, obliging)
  const file = join(tempDir(t), 'file')
  const command = ['sh', '-c', `echo out; echo "$1" > ${file}; exit 3`, 'sh', 'a  b']
  const { code, stdout, stderr } = await leaseRun(t, address, command, ['--reason', 'import']).ended
  t.same([code, stdout, stderr], [3, 'out\n', ''])
  t.equal(readFileSync(file, 'utf8'), 'a  b\n')
  t.strictSame(asked, [
    { method: 'POST', path: '/v1/leases', body: { repository: 'r.git', ttlSeconds: 60, reason: 'import' } },
    { method: 'DELETE', path: '/v1/leases/l1', body: {} },
  ])
})

t.test('exit codes', async (t) => {
  const { address, asked } = await standIn(t, obliging)
  for (const [command, expected, message] of [
    [['true'], 0, /^$/],
    [['sh', '-c', 'kill -9 $$'], 137, /^$/],
    [['/nothing/here'], 127, /^refstream: \/nothing\/here: .*ENOENT.*\n$/],
    [[''], 127, /^refstream: : .*\n$/],
  ] as const) {
    const { code, stderr } = await leaseRun(t, address, [...command]).ended
    t.equal(code, expected, command.join(' '))
    t.match(stderr, message)
    t.match(told(asked).at(-1), /^DELETE /, 'the lease has ended')
  }
  for (const flags of [['--ttl-seconds', '0'], ['--admin', 'nowhere'], ['--nonsense']]) {
    t.equal((await leaseRun(t, address, ['true'], flags).ended).code, 2, flags.join(' '))
  }
})

t.test('a signal is forwarded to the command, and the lease ends', async (t) => {
  const { address, asked } = await standIn(t, obliging)
  const file = join(tempDir(t), 'ready')
  for (const [trap, signal, expected] of [
    ["trap 'exit 7' TERM", 'SIGTERM', 7],
    [':', 'SIGTERM', 143],
    [':', 'SIGHUP', 129],
  ] as const) {
    asked.length = 0
    const script = `${trap}; echo > ${file}; while :; do sleep 0.01; done`
    const run = leaseRun(t, address, ['sh', '-c', script])
    await eventually('the command runs', () => existsSync(file))
    run.kill('SIGINT')
    run.kill(signal)
    t.equal((await run.ended).code, expected)
    t.match(told(asked), ['POST /v1/leases', /^DELETE /])
    rmSync(file)
  }
})

t.test('a lease is renewed while the command runs', async (t) => {
  const file = join(tempDir(t), 'go')
  const { address, asked } = await standIn(t, (one, count) => {
    if (one.method === 'PUT' && count === 3) writeFileSync(file, '')
    return obliging(one, count)
  })
  const command = ['sh', '-c', `while [ ! -e ${file} ]; do sleep 0.01; done`]
  t.equal((await leaseRun(t, address, command, ['--ttl-seconds', '1']).ended).code, 0)
  const puts = asked.filter(({ method }) => method === 'PUT')
  t.ok(puts.length >= 3)
  for (const put of puts) t.strictSame(put, { method: 'PUT', path: '/v1/leases/l1', body: { ttlSeconds: 1 } })
  t.equal(told(asked).at(-1), 'DELETE /v1/leases/l1')
})

t.test(
  'a lease that is not known any more is taken anew, and one that cannot be ended is an invalidation',
  async (t) => {
    const file = join(tempDir(t), 'go')
    const { address, asked } = await standIn(t, (one, count) => {
      if (one.path === '/v1/leases/l1' || one.method === 'DELETE') return [404, { detail: 'no such lease' }]
      if (one.path === '/v1/leases/l2') writeFileSync(file, '')
      return obliging(one, count)
    })
    const command = ['sh', '-c', `while [ ! -e ${file} ]; do sleep 0.01; done`]
    const { code, stderr } = await leaseRun(t, address, command, ['--ttl-seconds', '1']).ended
    t.same([code, stderr], [0, ''])
    t.strictSame(told(asked).slice(0, 3), ['POST /v1/leases', 'PUT /v1/leases/l1', 'POST /v1/leases'])
    t.strictSame(told(asked).slice(-2), ['DELETE /v1/leases/l2', 'POST /v1/invalidate'])
    t.strictSame(asked.at(-1)?.body, { repository: 'r.git' })
  },
)

t.test('a renewal under way is waited for, so that no lease is left open', async (t) => {
  const file = join(tempDir(t), 'go')
  const { address, asked } = await standIn(t, (one, count) => {
    if (one.method === 'PUT') {
      writeFileSync(file, '')
      return undefined
    }
    return obliging(one, count)
  })
  const command = ['sh', '-c', `while [ ! -e ${file} ]; do sleep 0.01; done; sleep 1`]
  t.equal((await leaseRun(t, address, command, ['--ttl-seconds', '1']).ended).code, 0)
  // The renewal gets no answer, so there is another lease; and that is the one that ends, last.
  t.same(told(asked), ['POST /v1/leases', 'PUT /v1/leases/l1', 'POST /v1/leases', 'DELETE /v1/leases/l2'])
})

t.test('without a sidecar, the command runs with a warning', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`
  await new Promise((resolve) => taken.close(resolve))
  const { code, stdout, stderr } = await leaseRun(t, address, ['sh', '-c', 'echo out; exit 5']).ended
  t.same([code, stdout], [5, 'out\n'])
  const [first, second, ...more] = stderr.trimEnd().split('\n')
  t.match(first, /^refstream: cannot open a lease; the command runs without one: .*ECONNREFUSED/)
  t.match(
    second,
    /^refstream: cannot report the change; cached answers may be stale for up to .*ECONNREFUSED/,
  )
  t.same(more, [])
  const socket = join(tempDir(t), 'socket')
  t.match(await leaseRun(t, `unix:${socket}`, ['true']).ended, {
    code: 0,
    stderr: /cannot open a lease; .*ENOENT/,
  })
})

t.test('another server at the address does no harm', async (t) => {
  for (const reply of [
    (): [number, unknown] => [200, null],
    (): [number, unknown] => [200, undefined],
    (): [number, unknown] => [200, 'text'],
    (): [number, unknown] => [500, null],
    (): [number, unknown] => [403, { detail: 'not you' }],
  ]) {
    const { address } = await standIn(t, reply)
    const { code } = await leaseRun(t, address, ['sh', '-c', 'exit 4']).ended
    t.equal(code, 4, reply.toString())
  }
})

t.test('the refs that a command changes are named', async (t) => {
  const { address, asked } = await standIn(t, obliging)
  const refs = ['refs/heads/ü', 'HEAD']
  const flags = refs.flatMap((name) => ['--ref', name])
  t.equal((await leaseRun(t, address, ['true'], flags).ended).code, 0)
  t.strictSame(asked.at(-1), { method: 'DELETE', path: '/v1/leases/l1', body: { refs } })
  const { code, stderr } = await leaseRun(t, address, ['true'], ['--ref', 'main']).ended
  t.equal(code, 2)
  t.match(stderr, /"main" is not the full name of a ref/)
})
