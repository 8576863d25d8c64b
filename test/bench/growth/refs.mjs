// Cost against the number of refs, and of directories below refs/, which is what a look at the disk depends on.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { requestFile, truth } from '../compare/requests.mjs'
import { load } from '../compare/tools.mjs'
import { makeRepository, root } from '../rig.mjs'
import { closedLoop, forgetPeak, looksPerRequest, memory, onRefstream } from './measure.mjs'

async function sizeOfRefs(refs, quick) {
  const repository = { name: `refs-${refs}.git` }
  makeRepository(repository.name, refs)
  return onRefstream(async (server) => {
    const whole = truth(repository, 'advertisement')
    const requests = requestFile(repository, 'advertisement')
    // The first answer of a process is also its code's first run.
    await load('burst', {
      port: server.port,
      requests: requestFile({ name: 'none.git' }, 'advertisement'),
      clients: 1,
    })
    forgetPeak(server)
    const before = memory(server).resident
    const fill = await load('burst', { port: server.port, requests, clients: 1, timeout: 300 })
    const { peak } = memory(server)
    const seconds = quick ? 1 : 4
    const warm = await closedLoop(server, { requests, clients: 4, seconds, expected: whole })
    const prefixed = requestFile(repository, 'ls-refs')
    const expected = truth(repository, 'ls-refs')
    await load('burst', { port: server.port, requests: prefixed, clients: 1, timeout: 300 })
    const polls = await closedLoop(server, {
      requests: prefixed,
      clients: 16,
      seconds: seconds / 2,
      expected,
    })
    const looks = await looksPerRequest(server, prefixed, 200)
    return {
      ...{ refs, bytes: whole.length, fillMs: fill.last.max, fillMegabytes: peak - before },
      ...{ warmMs: warm.cpuMs, warmBothMs: warm.bothMs, perMegabyte: warm.cpuMsPerMegabyte },
      ...{ prefixMs: polls.cpuMs, stats: looks.stats, opens: looks.opens },
      faults: [warm.faults, polls.faults].filter(Boolean).join('; '),
    }
  })
}

async function sizeOfDirectories(directories, quick) {
  const repository = { name: `directories-${directories}.git` }
  makeRepository(repository.name, 20)
  for (let index = 0; index < directories; index++)
    mkdirSync(join(root, repository.name, 'refs/heads', `of-${index % 100}`, String(index)), {
      recursive: true,
    })
  // Directories without a ref in them are what `git pack-refs` leaves.
  const packed = truth(repository, 'ls-refs')
  return onRefstream(async (server) => {
    const requests = requestFile(repository, 'ls-refs')
    await load('burst', { port: server.port, requests, clients: 1, timeout: 60 })
    // Recently changed directories are looked at more closely.
    await sleep(quick ? 2500 : 4000)
    const warm = await closedLoop(server, {
      requests,
      clients: 16,
      seconds: quick ? 0.5 : 2,
      expected: packed,
    })
    const looks = await looksPerRequest(server, requests, 200)
    return {
      directories,
      prefixMs: warm.cpuMs,
      p99: warm.p99,
      stats: looks.stats,
      opens: looks.opens,
      faults: warm.faults,
    }
  })
}

export async function run({ quick, each }) {
  const refs = quick ? [20, 1000, 10_000, 100_000] : [20, 1000, 10_000, 100_000, 1_000_000]
  const directories = quick ? [1, 100, 1000] : [1, 100, 1000, 10_000]
  return [
    {
      title: 'Refs',
      by: 'refs',
      columns: {
        bytes: { head: 'bytes of the advertisement' },
        fillMs: { head: 'first answer, ms', line: 'linear' },
        fillMegabytes: { head: 'memory for it, MB at most', line: 'linear' },
        warmMs: { head: 'warm advertisement, CPU ms', line: 'linear', of: 'bytes' },
        warmBothMs: { head: 'with generator, ms', line: 'linear', of: 'bytes' },
        perMegabyte: { head: 'CPU ms per MB' },
        prefixMs: { head: '`ls-refs`, one prefix, CPU ms', line: 'constant' },
        stats: { head: 'stats per request', line: 'constant' },
        opens: { head: 'opens per request', line: 'constant' },
      },
      rows: await each(refs, (count) => sizeOfRefs(count, quick)),
    },
    {
      title: 'Directories below refs/',
      by: 'directories',
      columns: {
        prefixMs: { head: '`ls-refs`, one prefix, CPU ms', line: 'linear' },
        p99: { head: 'p99, ms' },
        stats: { head: 'stats per request', line: 'linear' },
        opens: { head: 'opens per request', line: 'constant' },
      },
      rows: await each(directories, (count) => sizeOfDirectories(count, quick)),
    },
  ]
}
