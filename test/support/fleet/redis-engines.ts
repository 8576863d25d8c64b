import type { Test } from 'tap'
import { randomBytes } from 'node:crypto'
import type { EngineAddress } from '../../../src/config/values/fleet.js'
import type { RedisEngine } from '../../../src/fleet/engines/redis/redis-engine.js'
import { openRedisEngine, type RedisEngineOptions } from '../../../src/fleet/engines/redis/open.js'
import { eventually } from '../eventually.js'

/** Returns a random name. */
export const randomName = (): string => randomBytes(16).toString('base64url')

/** Opens an engine, and waits until it answers. It is closed with the test. */
export async function openEngine(
  t: Test,
  address: EngineAddress,
  options: Partial<RedisEngineOptions> = {},
): Promise<RedisEngine> {
  const engine = await openRedisEngine({ address, fleet: 'fleet', ...options })
  t.teardown(() => engine.close())
  await untilAnswers(engine)
  return engine
}

/** Waits until operations succeed on repositories of all servers. */
export async function untilAnswers(engine: RedisEngine): Promise<void> {
  const repositories = Array.from({ length: 20 }, (_, index) => `any-${index}`)
  await eventually('the engine answers', () =>
    engine.epochs(repositories).then(
      () => true,
      () => false,
    ),
  )
}

export const openEngines = (
  t: Test,
  address: EngineAddress,
  options: Partial<RedisEngineOptions> = {},
): Promise<RedisEngine[]> => Promise.all(Array.from({ length: 3 }, () => openEngine(t, address, options)))
