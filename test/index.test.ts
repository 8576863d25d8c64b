import t from 'tap'
import { startServer } from 'refstream'
import { StreamCache, type Producer } from 'refstream/streamcache'
import { join } from 'node:path'
import { ask, infoRefs } from './support/http-client.js'
import { makeRepository } from './support/repositories.js'
import { tempDir } from './support/temp-dir.js'

t.test('the library: a server from code', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const address = { listen: '127.0.0.1:0', admin: '127.0.0.1:0' }
  const sidecar = await startServer({ root, ...address, cacheDir: join(tempDir(t), 'cache') })
  t.match((await ask(infoRefs(sidecar.url, 'r.git'))).body.toString(), / refs\/heads\/main\n/)
  await sidecar.close()
  await t.rejects(ask(infoRefs(sidecar.url, 'r.git')), 'closed')
  await t.rejects(startServer({ root: '/nothing' }), { name: 'ConfigError' })
  await t.rejects(startServer({ root, listen: 'x' }), { message: /--listen/ })
})

t.test('the library: the engine alone', async (t) => {
  const cache = await StreamCache.open({
    directory: tempDir(t),
    maxBytes: 1e6,
    maxEntries: 100,
    maxEntryBytes: 1e6,
    minFreeBytes: 0,
    minFreeInodes: 0,
    maxAgeMs: 1e6,
    hotMaxBytes: 1e6,
    maxLeadBytes: 1e6,
    fillTimeoutMs: 1e4,
    fillSilenceMs: 1e4,
  })
  const producer: Producer = async function* () {
    yield Buffer.from('hello, ')
    yield Buffer.from('world')
  }
  const { entry, ended } = cache.fill('greeting', 'v1', producer, async () => true)
  const chunks: Buffer[] = []
  for await (const chunk of entry.follow()) chunks.push(chunk)
  t.equal(Buffer.concat(chunks).toString(), 'hello, world')
  t.equal(await ended, 'committed')
  t.equal(cache.get('greeting')?.token, 'v1')
  await cache.close()
})
