import { execFile, spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

interface Answer {
  name: string
  result: string
  status: number
  length: number
  hash: string
  count: number
  session: number
  endsInFlush: boolean
  due: number
  sent: number
  last: number
}
type Quantiles = Record<'p50' | 'p99' | 'p999' | 'max', number>
interface Run {
  requests: number
  answers: Answer[]
  underWay: number
  last: Quantiles
  late: Quantiles
}

const run = promisify(execFile)
const body = Buffer.alloc(300_001, 'a line of an advertisement\n')

const server = createServer((request, response) => {
  if (request.url === '/short') {
    response.writeHead(200, { 'Content-Length': body.length })
    response.write(body.subarray(0, 1000), () => response.destroy())
  } else if (request.url === '/short-chunk') {
    response.write(body.subarray(0, 1000), () => response.destroy())
  } else if (request.url === '/chunked') {
    for (const [from, to] of [
      [0, 3],
      [3, 70_001],
      [70_001, body.length],
    ] as const)
      response.write(body.subarray(from, to))
    response.end()
  } else if (request.url === '/until-close') {
    response.useChunkedEncodingByDefault = false
    response.removeHeader('Connection')
    response.end(body)
  } else if (request.url === '/echo') {
    request.pipe(response)
  } else {
    response.writeHead(request.url === '/busy' ? 429 : 200, { 'Content-Length': body.length })
    response.end(body)
  }
})

t.test(
  'the load generator',
  { skip: spawnSync('cc', ['--version']).status !== 0 && 'no C compiler' },
  async (t) => {
    const directory = t.testdir()
    const program = join(directory, 'load')
    await run('cc', [
      '-O1',
      '-Wall',
      '-Werror',
      '-o',
      program,
      fileURLToPath(new URL('load.c', import.meta.url)),
      '-lm',
    ])
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo

    const request = (path: string, method = 'GET', text = '') =>
      `${method} ${path} HTTP/1.1\r\nHost: here\r\n${text ? `Content-Length: ${text.length}\r\n` : ''}\r\n${text}`
    async function load(
      mode: string,
      requests: Record<string, string>,
      options: Record<string, number> = {},
    ) {
      const file = join(directory, `${mode}-${Math.random()}`)
      writeFileSync(
        file,
        Object.entries(requests)
          .map(([name, bytes]) => `${name} 1 ${bytes.length}\n${bytes}`)
          .join(''),
      )
      const args = Object.entries({ port, ...options }).map(([name, value]) => `${name}=${value}`)
      const running = run(program, [mode, `requests=${file}`, ...args])
      const { stdout } = await running
      const lines = stdout
        .trim()
        .split('\n')
        .filter((line) => line !== 'asked')
      const parsed = lines.map((line) => JSON.parse(line) as unknown)
      return { records: parsed.slice(0, -1) as Answer[], ...(parsed.at(-1) as Run) }
    }
    const hashed = spawnSync(program, ['hash'], { input: body }).stdout.toString()
    const whole = JSON.parse(hashed) as { length: number; hash: string }
    t.equal(whole.length, body.length)

    for (const path of ['/', '/chunked', '/until-close']) {
      t.test(`a whole answer from ${path}`, async (t) => {
        const { answers } = await load('burst', { all: request(path) }, { clients: 3 })
        t.match(answers, [{ name: 'all', result: 'ok', status: 200, ...whole, count: 3 }])
        t.equal(answers.length, 1)
      })
    }

    for (const path of ['/short', '/short-chunk']) {
      t.test(`a body that is cut short: ${path}`, async (t) => {
        const { answers } = await load('burst', { all: request(path) })
        t.match(answers, [{ result: 'short', status: 200, length: 1000 }])
      })
    }

    t.test('one byte more is another hash', async (t) => {
      const { answers } = await load('burst', { echo: request('/echo', 'POST', 'some text.') })
      const other = spawnSync(program, ['hash'], { input: 'some text' }).stdout.toString()
      const same = spawnSync(program, ['hash'], { input: 'some text.' }).stdout.toString()
      t.equal(answers[0]!.hash, (JSON.parse(same) as Answer).hash)
      t.not(answers[0]!.hash, (JSON.parse(other) as Answer).hash)
    })

    t.test('a status is told and is not a fault of the connection', async (t) => {
      const { answers } = await load('burst', { all: request('/busy') })
      t.match(answers, [{ result: 'ok', status: 429 }])
    })

    t.test('no server listens', async (t) => {
      const { answers } = await load('burst', { all: request('/') }, { port: 1 })
      t.match(answers, [{ result: 'refused', count: 1 }])
    })

    t.test('a closed loop asks again on the same connection', async (t) => {
      let connections = 0
      const count = () => connections++
      server.on('connection', count)
      const { requests, answers } = await load(
        'closed',
        { all: request('/chunked') },
        { clients: 2, seconds: 0.3 },
      )
      server.off('connection', count)
      t.equal(connections, 2)
      t.ok(requests > 2, 'more requests than clients')
      t.match(answers, [{ result: 'ok', ...whole, count: requests }])
    })

    t.test('a list is asked in its order, a group of requests per client on one connection', async (t) => {
      let connections = 0
      const count = () => connections++
      server.on('connection', count)
      const requests = Object.fromEntries(
        ['one', 'two', 'three', 'four'].map((name) => [name, request('/echo', 'POST', `${name}0000`)]),
      )
      const options = { clients: 2, sessions: 3, group: 2, records: 1 }
      const { records } = await load('list', requests, options)
      server.off('connection', count)
      t.equal(connections, 3)
      const asked = (session: number) =>
        records.filter((each) => each.session === session).map(({ name }) => name)
      t.same([0, 1, 2].map(asked), [
        ['one', 'two'],
        ['three', 'four'],
        ['one', 'two'],
      ])
      t.ok(records.every(({ result, endsInFlush }) => result === 'ok' && endsInFlush))
    })

    t.test('clients of a list begin spread over the time that is given', async (t) => {
      const options = { clients: 9, sessions: 4, group: 1, seconds: 0.4, records: 1 }
      const { records } = await load('list', { all: request('/') }, options)
      const due = records.map((each) => each.due).sort((a, b) => a - b)
      t.same(
        due.map((at) => Math.round(at - due[0]!)),
        [0, 100, 200, 300],
      )
      t.ok(records.every(({ endsInFlush }) => !endsInFlush))
    })

    t.test('an open loop picks among the requests, and notes each', async (t) => {
      const requests = { get: request('/'), echo: request('/echo', 'POST', 'some text') }
      const { records, answers } = await load('open', requests, { rate: 200, seconds: 0.5, records: 1 })
      t.same(new Set(answers.map(({ name }) => name)), new Set(['get', 'echo']))
      t.ok(records.every(({ result }) => result === 'ok'))
      t.equal(
        records.length,
        answers.reduce((sum, { count }) => sum + count, 0),
      )
    })

    t.test('at even intervals, each request has a connection of its own', async (t) => {
      let connections = 0
      const count = () => connections++
      server.on('connection', count)
      const { records } = await load(
        'open',
        { all: request('/busy') },
        { rate: 100, even: 1, seconds: 0.5, records: 1 },
      )
      server.off('connection', count)
      const due = records.map((each) => each.due).sort((a, b) => a - b)
      t.equal(connections, records.length)
      t.ok(records.length >= 48 && records.length <= 50, `${records.length} of 50`)
      t.ok(due.slice(1).every((at, index) => Math.abs(at - due[index]! - 10) < 0.01))
    })

    t.test(
      'latencies count from when a request was due, with exact quantiles, while a server is stopped',
      async (t) => {
        // Its event loop is blocked by this, as by a collection of garbage: all that was due meanwhile has waited.
        server.once('connection', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200))
        const options = { rate: 100, even: 1, seconds: 0.5, records: 1 }
        const { records, last } = await load('open', { all: request('/busy') }, options)
        const latencies = records.map((each) => each.last - each.due).sort((a, b) => a - b)
        const rank = (share: number) => latencies[Math.ceil(share * latencies.length) - 1]!
        const same = (a: number, b: number) => t.ok(Math.abs(a - b) < 0.002, `${a} is ${b}`)
        same(last.p50, rank(0.5))
        same(last.p99, rank(0.99))
        same(last.p999, rank(0.999))
        same(last.max, latencies.at(-1)!)
        t.ok(latencies.filter((ms) => ms > 50).length >= 10, 'those due in the first 150 ms waited')
      },
    )

    t.test('idle connections stay open after an answer each, until they are to end', async (t) => {
      const file = join(directory, 'idle')
      writeFileSync(file, `all 1 ${request('/busy').length}\n${request('/busy')}`)
      const child = spawn(program, ['idle', `port=${port}`, `requests=${file}`, 'clients=150'])
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
      t.equal((await lines.next()).value, 'asked')
      const open = await new Promise((resolve) =>
        server.getConnections((_error, connections) => resolve(connections)),
      )
      t.equal(open, 150)
      child.stdin.end()
      const last = JSON.parse((await lines.next()).value as string) as Run
      t.match(last, { requests: 150, underWay: 150, answers: [{ result: 'ok', status: 429, count: 150 }] })
    })

    t.test('of idle connections that the server closes it tells how many are left', async (t) => {
      const file = join(directory, 'idle')
      const closing = createServer((_request, response) => response.end('once'))
      closing.keepAliveTimeout = 50
      await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve))
      t.teardown(() => closing.close())
      const there = (closing.address() as AddressInfo).port
      const child = spawn(program, ['idle', `port=${there}`, `requests=${file}`, 'clients=3'])
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
      await lines.next()
      let closed = 0
      for (let left = 1; left !== 0; closed++)
        left = await new Promise((resolve) =>
          setTimeout(() => closing.getConnections((_, n) => resolve(n)), 20),
        )
      t.ok(closed > 0)
      child.stdin.end()
      t.match(JSON.parse((await lines.next()).value as string), { requests: 3, underWay: 0 })
    })

    t.test('requests are picked by weight among many', async (t) => {
      const file = join(directory, 'many')
      const each = (index: number, weight: number) => {
        const bytes = request('/echo', 'POST', `number ${index}`)
        return `number-${index} ${weight} ${bytes.length}\n${bytes}`
      }
      const weights = Array.from({ length: 100 }, (_, index) => (index === 42 ? 900 : index === 7 ? 0 : 1))
      writeFileSync(file, weights.map((weight, index) => each(index, weight)).join(''))
      const { stdout } = await run(program, [
        'open',
        `port=${port}`,
        `requests=${file}`,
        'rate=2000',
        'seconds=0.5',
      ])
      const { answers, requests } = JSON.parse(stdout) as Run
      const count = (name: string) => answers.find((answer) => answer.name === name)?.count ?? 0
      t.equal(count('number-7'), 0)
      const share = count('number-42') / requests
      t.ok(share > 0.85 && share < 0.95, `${share} of the requests have 0.90 of the weight`)
      t.ok(answers.length > 50, 'the others come too')
    })

    t.test('a server on another address, asked from others', async (t) => {
      const peers = new Set<string | undefined>()
      const other = createServer((incoming, response) => {
        peers.add(incoming.socket.remoteAddress)
        response.end('there')
      })
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.9', resolve))
      t.teardown(() => (other.closeAllConnections(), other.close()))
      const there = (other.address() as AddressInfo).port
      const file = join(directory, 'elsewhere')
      writeFileSync(file, `all 1 ${request('/').length}\n${request('/')}`)
      const args = [`port=${there}`, 'host=127.0.0.9', 'from=127.3.0.1', `requests=${file}`, 'clients=3']
      await run(program, ['burst', ...args])
      t.same([...peers].sort(), ['127.3.0.1', '127.3.0.2', '127.3.0.3'])
    })

    t.test('a client that waits too long gives up', async (t) => {
      const silent = createServer(() => {})
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
      t.teardown(() => (silent.closeAllConnections(), silent.close()))
      const there = (silent.address() as AddressInfo).port
      const { answers } = await load('burst', { all: request('/') }, { port: there, timeout: 0.1 })
      t.match(answers, [{ result: 'timeout', status: 0, count: 1 }])
    })

    t.test('a slow client takes no more than its pace', async (t) => {
      const options = { pace: 50_000, rcvbuf: 4096, seconds: 0.5 }
      const { requests, ...rest } = await load('slow', { all: request('/') }, options)
      t.equal(requests, 0, 'it is not through')
      t.match(rest, { underWay: 1 })
    })
  },
)
