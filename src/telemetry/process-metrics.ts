import { readdir, stat } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { collectDefaultMetrics, Counter, Gauge, type Registry } from 'prom-client'
import { nodeMetrics } from './metrics/program.js'

/**
 * Metrics of prom-client that cost too much. Some walk through all open handles at each scrape: with 5000 connections
 * they delay every answer by some 40 ms. (That of file descriptors is replaced by one that blocks nothing.) Others wake the process a hundred times a second to take samples, which is 1.6 %
 * of a processor while there are no requests; nodejs_eventloop_lag_seconds, measured at each scrape, stays.
 */
const costlyMetrics = [
  'process_open_fds',
  ...['handles', 'requests', 'resources'].flatMap((each) => [
    `nodejs_active_${each}`,
    `nodejs_active_${each}_total`,
  ]),
  ...['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
    (each) => `nodejs_eventloop_lag_${each}_seconds`,
  ),
]
/** Milliseconds between those samples: the longest that a timer takes, since the metrics made of them are removed. */
const eventLoopMonitoringPrecision = 2 ** 31 - 1

/** Registers prom-client's metrics of this process, without those that cost too much. */
export function collectProcessMetrics(register: Registry): void {
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision })
  for (const name of costlyMetrics) register.removeSingleMetric(name)
  const { name, help, labels } = nodeMetrics.eventLoopTime
  const time: Counter = new Counter({
    ...{ name, help, labelNames: Object.keys(labels), registers: [register] },
    collect: () => {
      const { active, idle } = performance.eventLoopUtilization()
      time.reset()
      time.inc({ state: 'active' }, active / 1000)
      time.inc({ state: 'idle' }, idle / 1000)
    },
  })
  const openFds: Gauge = new Gauge({
    ...{ name: nodeMetrics.openFds.name, help: nodeMetrics.openFds.help, registers: [register] },
    collect: async () => {
      const count = await countFileDescriptors()
      if (count === undefined) openFds.remove()
      else openFds.set(count)
    },
  })
}

const descriptors = '/proc/self/fd'

/** Resolves with the number of open file descriptors; undefined if the system does not tell. */
async function countFileDescriptors(): Promise<number | undefined> {
  try {
    const { size } = await stat(descriptors)
    // Linux tells their number as the size from 6.2 on; before, it is 0.
    return size > 0 ? size : (await readdir(descriptors)).length
  } catch {
    return undefined
  }
}
