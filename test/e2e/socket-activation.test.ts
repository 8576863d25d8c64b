import t from 'tap'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { eventually } from '../support/eventually.js'
import { makeRepository } from '../support/repositories.js'
import { startServiceManager } from '../support/service-manager.js'
import { tempDir } from '../support/temp-dir.js'
import { workersOf } from '../support/worker-processes.js'

if (process.platform !== 'linux') {
  t.plan(0, 'systemd is on Linux only')
  process.exit()
}

/** Asks on a connection of its own. @returns the status, or the error's code */
async function ask(url: string): Promise<number | string> {
  try {
    const client = request(`${url}/r.git/info/refs?service=git-upload-pack`, { agent: false })
    client.end()
    const [response] = (await once(client, 'response')) as [IncomingMessage]
    await text(response)
    return response.statusCode ?? 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

for (const workers of [1, 2]) {
  t.test(
    `restarts under load fail no request while systemd holds the sockets; ${workers} workers`,
    async (t) => {
      const root = tempDir(t)
      makeRepository(root, 'r.git')
      const args = ['--root', root, '--export-all', '--cache-dir', join(tempDir(t), 'cache')]
      const manager = await startServiceManager(t, [...args, '--workers', String(workers)])
      await manager.start()

      const answers: (number | string)[] = []
      let isOver = false
      const client = async (): Promise<void> => {
        while (!isOver) answers.push(await ask(manager.url))
      }
      const clients = Array.from({ length: 8 }, client)
      const more = (count: number): Promise<void> => {
        const before = answers.length
        return eventually(`${count} more answers`, () => answers.length >= before + count)
      }
      await more(50)
      for (let restart = 0; restart < 2; restart++) {
        t.equal(await manager.stop(), 0, 'exit code')
        await manager.start()
        await more(50)
      }
      isOver = true
      await Promise.all(clients)
      t.same(new Set(answers), new Set([200]), `${answers.length} answers`)
      t.equal((await fetch(`${manager.adminUrl}/readyz`)).status, 200)
    },
  )
}

t.test('refstream ends when its last worker has, since the sockets are gone with it', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const args = ['--root', root, '--export-all', '--cache-dir', join(tempDir(t), 'cache'), '--workers', '2']
  const manager = await startServiceManager(t, args)
  const pid = await manager.start()
  const ended = manager.ended()
  for (const worker of workersOf(pid)) process.kill(worker, 'SIGKILL')
  t.equal(await ended, 1 << 8)
  await manager.start()
  t.equal(await ask(manager.url), 200)
})

t.test('a socket with another name is refused: its clients would wait for ever', async (t) => {
  const manager = await startServiceManager(t, ['--root', tempDir(t)], 'listen:other')
  t.equal(await manager.run(), 2 << 8)
})

t.test('a socket on another address than that of the setting is refused', async (t) => {
  // Whether clients need TLS and passwords is decided by the setting.
  const manager = await startServiceManager(t, ['--root', tempDir(t), '--listen', '127.0.0.1:1'])
  t.equal(await manager.run(), 2 << 8)
})
