import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis, type RedisServer } from './redis.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

/** Something that happens to the engine of a fleet, and is over when the promise resolves. */
export interface EngineFault {
  readonly name: string
  readonly run: () => Promise<unknown>
}

/** Redis behind a proxy for each node. */
export interface FaultyRedis {
  readonly server: RedisServer
  /** Returns the engine's URL for a node. */
  readonly urlOf: (index: number) => string
  /** What can happen to it; what makes nodes distrust what they have comes last. */
  readonly faults: readonly EngineFault[]
}

/** Milliseconds for which proxies hold back or refuse: longer than it takes until a node works alone. */
const cutMs = 900

export async function startFaultyRedis(t: Test, nodes: number): Promise<FaultyRedis> {
  const server = await startRedis(t)
  const proxies = await Promise.all(Array.from({ length: nodes }, () => startTcpProxy(t, server.port)))
  const groups = [
    ...proxies.slice(0, 2).map((proxy, index) => ({ whom: `node ${index + 1}`, chosen: [proxy] })),
    { whom: 'all nodes', chosen: proxies },
  ]
  const cuts = groups.flatMap(({ whom, chosen }) => [
    { name: `stalled for ${whom}`, run: () => stall(chosen) },
    { name: `refused for ${whom}`, run: () => refuse(chosen) },
  ])
  return {
    server,
    urlOf: (index) => `redis://127.0.0.1:${proxies[index]!.port}`,
    faults: [
      ...cuts,
      { name: 'stopped for 2 s', run: () => stop(server) },
      { name: 'flushed', run: () => server.command('FLUSHALL') },
      { name: 'killed and started again', run: () => kill(server) },
    ],
  }
}

async function stall(proxies: readonly TcpProxy[]): Promise<void> {
  for (const proxy of proxies) proxy.stall()
  await sleep(cutMs)
  for (const proxy of proxies) proxy.resume()
}

async function refuse(proxies: readonly TcpProxy[]): Promise<void> {
  for (const proxy of proxies) {
    proxy.refuse()
    proxy.cut()
  }
  await sleep(cutMs)
  for (const proxy of proxies) proxy.accept()
}

async function stop(server: RedisServer): Promise<void> {
  server.pause()
  await sleep(2000)
  server.resume()
}

async function kill(server: RedisServer): Promise<void> {
  await server.kill()
  await sleep(cutMs)
  await server.start()
}
