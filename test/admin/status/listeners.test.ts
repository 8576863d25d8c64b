import t, { type Test } from 'tap'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Listeners } from '../../../src/admin/status/listeners.js'
import { eventually } from '../../support/eventually.js'
import { open } from '../../support/http-client.js'

/** Serves listeners whose events are texts of this size. */
async function serve(t: Test, max: number, size: number) {
  let ticks = 0
  const listeners = new Listeners({
    ...{ max, everyMs: 5 },
    tick: async (streams) => {
      ticks++
      for (const stream of streams) stream.send('test', JSON.stringify('x'.repeat(size)))
    },
  })
  const server = createServer((_request, response) => {
    try {
      listeners.reply().stream?.(response)
    } catch (error) {
      response.writeHead(503).end(String(error))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { listeners, ticks: () => ticks, listen: () => open(url, {}) }
}

const firstOf = async (response: IncomingMessage): Promise<string> => {
  for await (const chunk of response) return String(chunk)
  return ''
}

t.test('events come while there is a listener, and nothing is computed without one', async (t) => {
  const { listeners, ticks, listen } = await serve(t, 2, 1)
  t.equal(ticks(), 0)
  const response = await listen()
  t.match(response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  t.equal(await firstOf(response), 'event: test\ndata: "x"\n\n')
  response.destroy()
  await eventually('it has gone', () => listeners.count === 0)
  const after = ticks()
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(ticks(), after)
  t.match(await firstOf(await listen()), /^event: test/, 'and it begins again')
})

t.test('their number is bounded', async (t) => {
  const { listeners, listen } = await serve(t, 2, 1)
  const [first] = await Promise.all([listen(), listen()])
  t.equal((await listen()).statusCode, 503)
  first.destroy()
  await eventually('one has gone', () => listeners.count === 1)
  t.equal((await listen()).statusCode, 200)
})

t.test('a listener that does not read is dropped, and others are not', async (t) => {
  const { listeners, listen } = await serve(t, 2, 500_000)
  const [slow, fast] = await Promise.all([listen(), listen()])
  slow.pause()
  fast.resume()
  await eventually('it was dropped', () => listeners.count === 1)
  t.notOk(fast.destroyed)
})
