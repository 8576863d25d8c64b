// What a cache hit makes: a count that does not depend on the machine. When a change makes it larger, find out why; when a
// change makes it smaller, lower it here.
import t from 'tap'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { promiseHooks } from 'node:v8'
import { startServer } from '../../src/index.js'
import { git, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

const request = 'GET /a.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n'

/** Calls back when a whole answer has come; the client of this test makes no promise of its own. */
function ask(socket: Socket, answered: () => void): void {
  let received = ''
  const take = (chunk: Buffer): void => {
    received += chunk.toString('latin1')
    // The first one is sent in chunks while it is being made.
    if (!/\n0000(\r\n0\r\n\r\n)?$/.test(received)) return
    socket.off('data', take)
    answered()
  }
  socket.on('data', take)
  socket.write(request)
}

/** All ask at once, so many times one after the other; resolves when all have their last answers. */
function askTimes(sockets: readonly Socket[], times: number): Promise<void> {
  return new Promise((resolve) => {
    const round = (left: number): void => {
      if (left === 0) return resolve()
      let waiting = sockets.length
      for (const socket of sockets) {
        ask(socket, () => {
          if (--waiting === 0) setImmediate(round, left - 1)
        })
      }
    }
    round(times)
  })
}

/** Returns the promises that each hit makes, the fewest of some trials: timers of the sidecar make some too. */
async function promisesPerHit(sockets: readonly Socket[]): Promise<number> {
  const times = 20
  let fewest = Infinity
  for (let trial = 0; trial < 5; trial++) {
    let count = 0
    const stop = promiseHooks.onInit(() => count++) as () => void
    await askTimes(sockets, times)
    stop()
    fewest = Math.min(fewest, count / (times * sockets.length))
  }
  return fewest
}

t.test('promises of a warm hit', async (t) => {
  const root = tempDir(t)
  git(makeRepository(root, 'a.git'), 'pack-refs', '--all')
  const sidecar = await startServer({
    ...{ root, listen: '127.0.0.1:0', admin: '127.0.0.1:0', cacheDir: join(tempDir(t), 'cache') },
    // However slow this machine is, no request is queued.
    busySeconds: 0,
  })
  t.teardown(() => sidecar.close())
  const { port } = new URL(sidecar.url)
  const sockets = Array.from({ length: 32 }, () => createConnection(Number(port), '127.0.0.1').setNoDelay())
  t.teardown(() => sockets.forEach((socket) => socket.destroy()))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  // Until the entry and what is known of the files are settled.
  await askTimes(sockets.slice(0, 1), 5)
  await new Promise((resolve) => setTimeout(resolve, 100))
  await askTimes(sockets, 20)

  const alone = await promisesPerHit(sockets.slice(0, 1))
  const together = await promisesPerHit(sockets)
  t.comment(`${alone} alone, ${together} of 32 together`)
  // 20.1 and 4.5 with Node 20. While promises are counted, V8 makes one more for each await.
  t.ok(alone < 21, `${alone} with an observation of its own`)
  t.ok(together < 5, `${together} of 32 that share one`)
})
