// Cost against the number of repositories that are touched at random.
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cost } from '../compare/measure.mjs'
import { faults, judge, requestBytes, truth, writeRequests } from '../compare/requests.mjs'
import { load } from '../compare/tools.mjs'
import { makeRepository, metric, root } from '../rig.mjs'
import { closedLoop, listenings, memory, onRefstream } from './measure.mjs'

/** Repositories of twenty packed refs, which share the objects of one: files that are written, not Git processes. */
export function makeMany(place, count) {
  makeRepository(`${place}-template.git`, 20)
  const template = join(root, `${place}-template.git`)
  for (const part of ['hooks', 'info', 'description', 'branches'])
    rmSync(join(template, part), { recursive: true, force: true })
  const names = Array.from({ length: count }, (_, index) => `${place}/${String(index).padStart(6, '0')}.git`)
  mkdirSync(join(root, place))
  const skipped = join(template, 'objects')
  for (const name of names) {
    const path = join(root, name)
    cpSync(template, path, { recursive: true, filter: (from) => !from.startsWith(skipped) })
    mkdirSync(join(path, 'objects/info'), { recursive: true })
    writeFileSync(join(path, 'objects/info/alternates'), `${skipped}\n`)
  }
  return names
}

/** Waits until what was asked for is on disk, or given up: until neither number changes for five seconds. */
async function whenStored(server, count) {
  const adminUrl = listenings(server).admin
  for (let [seen, same] = ['', 0]; ; await sleep(100)) {
    const [entries, errors] = [
      await metric({ adminUrl }, 'refstream_store_entries'),
      await metric({ adminUrl }, 'refstream_store_errors_total'),
    ]
    same = seen === `${entries} ${errors}` ? same + 1 : 0
    seen = `${entries} ${errors}`
    if (entries >= count || same === 50) return entries
  }
}

async function sizeOf(count, quick) {
  const place = `many-${count}`
  const names = makeMany(place, count)
  const expected = truth({ name: names[0] }, 'advertisement')
  const requests = writeRequests(
    'advertisement',
    ...names.map((name) => requestBytes({ name }, 'advertisement')),
  )
  return onRefstream(async (server) => {
    // What has changed a moment ago is looked at more closely.
    await sleep(3000)
    const before = memory(server).resident
    const once = { port: server.port, requests, sessions: count, group: 1, clients: 8, timeout: 60 }
    const first = await cost(server, () => load('list', once))
    const begun = performance.now()
    const filled = memory(server).resident
    const stored = await whenStored(server, count)
    const behindMs = performance.now() - begun
    const figures = await closedLoop(server, { requests, clients: 32, seconds: quick ? 1 : 8, expected })
    return {
      repositories: count,
      firstMs: (first.cpuSeconds * 1000) / count,
      ...{ storedPercent: (100 * stored) / count, behindMs },
      ...{ cpuMs: figures.cpuMs, p99: figures.p99, hitPercent: 100 * figures.hitRatio },
      resident: memory(server).resident,
      kilobytesEach: ((filled - before) * 1000) / count,
      faults: figures.faults || faults(judge(first.result.answers, expected)),
    }
  })
}

export const run = async ({ quick, each }) => [
  {
    title: 'Repositories, touched at random',
    by: 'repositories',
    columns: {
      firstMs: { head: 'first touch, CPU ms', line: 'constant' },
      behindMs: { head: 'last one stored, ms after' },
      storedPercent: { head: 'stored then, %' },
      cpuMs: { head: 'CPU ms per request', line: 'constant' },
      p99: { head: 'p99, ms', line: 'constant' },
      hitPercent: { head: 'hits, %' },
      resident: { head: 'RSS, MB', line: 'linear' },
      kilobytesEach: { head: 'KB per repository, before all are stored' },
    },
    rows: await each(quick ? [10, 100, 1000] : [10, 100, 1000, 20_000], (count) => sizeOf(count, quick)),
  },
]
