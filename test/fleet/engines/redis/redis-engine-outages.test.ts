import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Claim, Hint } from '../../../../src/fleet/engine.js'
import { RedisUnreachable } from '../../../../src/fleet/engines/redis/connections/link.js'
import { openRedisEngine } from '../../../../src/fleet/engines/redis/open.js'
import { eventually } from '../../../support/eventually.js'
import { openEngine, untilAnswers } from '../../../support/fleet/redis-engines.js'
import { skipRedis, startRedis } from '../../../support/fleet/redis.js'
import { startTcpProxy } from '../../../support/fleet/tcp-proxy.js'

const claim: Claim = { repository: 'r', key: 'k', state: 's', node: 'a', ttlMs: 60_000 }

t.test('a server that is not there yet', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  await server.kill()
  const changes: (string | undefined)[] = []
  const changed = (error: Error | undefined): void => void changes.push(error?.message)
  const engine = await openRedisEngine({ address: server.address, fleet: 'fleet', changed })
  t.teardown(() => engine.close())
  const begun = performance.now()
  await t.rejects(engine.claim(claim), RedisUnreachable)
  await t.rejects(engine.epochs(['r']), RedisUnreachable)
  t.ok(performance.now() - begun < 1000, 'operations fail at once')
  await eventually('it was tried', () => changes.length > 1)
  t.match(changes[0], /ECONNREFUSED/)
  await server.start()
  await untilAnswers(engine)
  t.equal(changes.at(-1), undefined, 'the owner is told')
  await engine.close()
  await t.rejects(engine.claim(claim), /closed/)
})

t.test('a server that stops answering, and goes on', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  server.pause()
  const late = engine.claim(claim)
  await sleep(20)
  server.resume()
  t.match(await late, { kind: 'granted' }, 'a late answer is an answer')
  t.match(await engine.claim({ ...claim, node: 'b' }), { kind: 'held', node: 'a' })
})

t.test('connections that break', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const proxy = await startTcpProxy(t, server.port)
  const engine = await openEngine(t, { ...server.address, hosts: [proxy] })
  const hints: Hint[] = []
  engine.watch((hint) => hints.push(hint))
  await eventually('it listens', () => proxy.accepted === 2)
  for (let breaks = 0; breaks < 3; breaks++) {
    proxy.stall()
    const changes = Array.from({ length: 20 }, () => engine.change('r'))
    const claims = engine.claim({ ...claim, key: String(breaks) })
    proxy.refuse()
    await sleep(10)
    proxy.cut()
    proxy.resume()
    for (const { status } of await Promise.allSettled([...changes, claims])) t.equal(status, 'rejected')
    await t.rejects(engine.epochs(['r']), RedisUnreachable)
    proxy.accept()
    await untilAnswers(engine)
    hints.length = 0
    await eventually('hints come again', async () => {
      await engine.change('other')
      return hints.length > 0
    })
  }
  const [epoch] = await engine.epochs(['r'])
  t.ok(epoch!.changes <= 60, 'no command is sent twice')
})

t.test('a listener that has stopped hears nothing, and others do', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  const heard = [0, 0]
  const listener = (): unknown => heard[0]!++
  const stop = engine.watch(() => heard[1]!++)
  engine.watch(listener)
  await eventually('hints come', async () => {
    await engine.change('r')
    return heard[0]! > 0 && heard[1]! > 0
  })
  stop()
  const [before, stopped] = heard
  await eventually('hints come', async () => {
    await engine.change('r')
    return heard[0]! > before!
  })
  t.equal(heard[1], stopped)
})

t.test('a wrong password', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t, { users: [] })
  const errors: string[] = []
  const changed = (error: Error | undefined): unknown => error && errors.push(error.message)
  const address = { ...server.address, username: 'admin', password: 'not-this-one' }
  const engine = await openRedisEngine({ address, fleet: 'fleet', changed })
  t.teardown(() => engine.close())
  await eventually('it was refused', () => errors.length > 0)
  t.match(errors[0], /WRONGPASS/)
  t.notMatch(errors[0], 'not-this-one')
  await t.rejects(engine.epochs(['r']), /WRONGPASS/, 'operations say why')
})

t.test('many repositories are read in one round trip', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  const repositories = Array.from({ length: 2000 }, (_, index) => `r${index}`)
  const begun = performance.now()
  t.equal((await engine.epochs(repositories)).length, 2000)
  t.comment(`2000 epochs: ${Math.round(performance.now() - begun)} ms`)
})
