import t from 'tap'
import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { options } from '../../src/config/options/options.js'
import { askAdmin } from '../../src/cli/admin/client.js'
import { listen } from '../../src/server/listen.js'
import { eventually } from '../support/eventually.js'
import { tempDir } from '../support/temp-dir.js'

function makeServer(t: Test): Server {
  const server = createServer((_request, response) => response.end('hello'))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

/** A process that listens on a socket and, told to stop, takes no connection. */
async function otherProcess(
  t: Test,
  path: string,
): Promise<{ kill: (signal: NodeJS.Signals) => Promise<void> }> {
  const script = `require('net').createServer(() => {}).listen({ path: process.argv[1], backlog: 1 }, () => console.log())`
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    if (signal === 'SIGKILL') await once(child, 'close')
  }
  return { kill }
}

t.test('TCP: the URL has the port that the system chose', async (t) => {
  const url = await listen(makeServer(t), { host: '127.0.0.1', port: 0 }, 'listen')
  t.match(url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  t.match(await askAdmin(url, 'GET', '/'), { status: 200, body: 'hello' })
  const port = Number(new URL(url).port)
  const again = listen(makeServer(t), { host: '127.0.0.1', port }, 'listen')
  await t.rejects(again, { name: 'ConfigError', message: `--listen: cannot listen on 127.0.0.1:${port}: ` })
})

t.test('a Unix socket is accessible to its owner and group', async (t) => {
  const path = join(tempDir(t), 'admin.sock')
  const server = makeServer(t)
  const url = await listen(server, { path }, 'admin')
  t.equal(url, `unix:${path}`)
  t.match(await askAdmin(url, 'GET', '/'), { status: 200, body: 'hello' })
  t.equal(statSync(path).mode & 0o777, 0o660)
  await t.rejects(listen(makeServer(t), { path }, 'admin'), {
    name: 'ConfigError',
    message: `--admin: cannot listen on unix:${path}: another process listens there`,
  })
  t.match(await askAdmin(url, 'GET', '/'), { status: 200 }, 'the other process still listens')
  await new Promise((resolve) => server.close(resolve))
  t.notOk(existsSync(path))
})

t.test('the socket that a killed process has left is replaced', async (t) => {
  const path = join(tempDir(t), 'admin.sock')
  await (await otherProcess(t, path)).kill('SIGKILL')
  t.ok(existsSync(path))
  const url = await listen(makeServer(t), { path }, 'admin')
  t.match(await askAdmin(url, 'GET', '/'), { status: 200 })
})

t.test(
  'the socket of a process that is too busy to answer is not',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const path = join(tempDir(t), 'admin.sock')
    const { kill } = await otherProcess(t, path)
    await kill('SIGSTOP')
    // connect(2) says EAGAIN once the backlog is full.
    const sockets: Socket[] = []
    t.teardown(() => sockets.forEach((socket) => socket.destroy()))
    let full = false
    await eventually('its backlog is full', async () => {
      const socket = createConnection(path)
      sockets.push(socket)
      await new Promise((resolve) => {
        socket.once('connect', resolve)
        socket.once('error', () => resolve((full = true)))
      })
      return full
    })
    await t.rejects(listen(makeServer(t), { path }, 'admin'), { name: 'ConfigError' })
    t.ok(existsSync(path), 'its socket is still there')
  },
)

t.test('a file that is not a socket is left alone', async (t) => {
  const directory = tempDir(t)
  const file = join(directory, 'file')
  writeFileSync(file, 'text')
  mkdirSync(join(directory, 'directory'))
  for (const path of [file, join(directory, 'directory'), join(directory, 'no/where'), join(file, 'x')]) {
    await t.rejects(listen(makeServer(t), { path }, 'admin'), { name: 'ConfigError', message: path })
  }
  t.equal(statSync(file).size, 4)
})

t.test('a path that is too long for the kernel is rejected, in bytes', async (t) => {
  const admin = options.find(({ key }) => key === 'admin')!.schema
  const path = (length: number, letter: string): string => `/${letter.repeat(length - 1)}`
  t.same(admin.parse(`unix:${path(107, 'a')}`), [{ path: path(107, 'a') }])
  t.notOk(admin.safeParse(`unix:${path(108, 'a')}`).success)
  t.notOk(admin.safeParse(`unix:${path(60, 'ü')}`).success, '119 bytes')
  t.notOk(admin.safeParse('unix:relative').success)
  t.notOk(admin.safeParse('unix:/').success)
  // Where nobody has checked that, Node cuts the name: then at least nothing goes on listening.
  const server = makeServer(t)
  const long = join(tempDir(t), 'ü'.repeat(60))
  await t.rejects(listen(server, { path: long }, 'admin'), { name: 'ConfigError' })
  t.notOk(server.listening)
})
