import { execFile, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
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
}
interface Run {
  requests: number
  answers: Answer[]
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
