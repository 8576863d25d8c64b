import t from 'tap'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { runCommand } from '../../support/command.js'
import { startHttpServer } from '../../support/http-server.js'

/** Starts a server that answers as an admin address does. @returns its address */
const admin = async (t: Test, answer: RequestListener): Promise<string> =>
  `127.0.0.1:${await startHttpServer(t, answer)}`

t.test('a sidecar that is ready: 0', async (t) => {
  const asked: string[] = []
  const address = await admin(t, (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('ready\n')
  })
  const result = await runCommand(['ready', '--admin', address])
  t.match(result, { status: 0, stdout: `ready at http://${address}\n`, stderr: '' })
  t.same(asked, ['GET /readyz'])
})

t.test('one that is not: 1, and why, at once', async (t) => {
  let count = 0
  const address = await admin(t, (_request, response) => {
    count++
    response.writeHead(503).end('shutting down\n')
  })
  const result = await runCommand(['ready', '--admin', address])
  t.same(result, {
    status: 1,
    stdout: '',
    stderr: `refstream: not ready at http://${address}: shutting down\n`,
  })
  t.equal(count, 1)
})

t.test('--wait asks until it is ready', async (t) => {
  let count = 0
  const address = await admin(t, (_request, response) => {
    if (++count === 1) response.destroy()
    else if (count === 2) response.writeHead(503).end('overloaded\n')
    else response.end('ready\n')
  })
  t.match(await runCommand(['ready', '--wait', '--admin', address]), { status: 0, stderr: '' })
  t.equal(count, 3)
})

t.test('--wait ends with the last reason when the time is over', async (t) => {
  const address = await admin(t, (_request, response) => response.writeHead(503).end('overloaded\n'))
  t.match(await runCommand(['ready', '--wait', '--timeout', '0.3', '--admin', address]), {
    status: 1,
    // The last answer may not arrive within the time that is left.
    stderr: /^refstream: not ready.*(overloaded|no sidecar answers).* \(waited 0\.3 s\)\n$/,
  })
})

t.test('a server that accepts connections and says nothing is not waited for longer', async (t) => {
  const server = createNetServer((socket) => t.teardown(() => socket.destroy())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const began = performance.now()
  const result = await runCommand(['ready', '--timeout', '0.2', '--admin', address])
  t.match(result, { status: 1, stderr: /^refstream: not ready: no sidecar answers at / })
  t.ok(performance.now() - began < 4000)
})

t.test('a time that is none is refused', async (t) => {
  for (const timeout of ['0', '-1', 'x', '86401']) {
    const result = await runCommand(['ready', `--timeout=${timeout}`])
    t.match(result, { status: 2, stderr: /It must be more than 0 and at most 86400 seconds/ }, timeout)
  }
})
