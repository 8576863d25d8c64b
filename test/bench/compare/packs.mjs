// Clone storms: many clients that ask for the same pack, at once and spread over half a minute, and a stream of fetches each of
// which asks for something else. Clients are those of the load generator, which send what Git's own client sent and throw
// away what they get; a real client checks once per server and operation that it is whole.
import { median } from '../rig.mjs'
import { packContenders, referenceServers } from './contenders.mjs'
import { cost, eachInTurn, wakeForPacks } from './measure.mjs'
import { pullTogether } from './pack-figures.mjs'
import { packRepository } from './pack-repository.mjs'
import {
  faultOfClient,
  makeClients,
  recordAll,
  replayFile,
  staticFile,
  uniqueFetches,
} from './pack-requests.mjs'
import { load } from './tools.mjs'

export const title = 'Clone storms'

const sizes = (quick) =>
  quick
    ? { clients: 15, seconds: 3, alone: 1, unique: 16 }
    : { clients: 50, seconds: 30, alone: 3, unique: 100 }

/** Runs so many clients, each of which sends `group` requests of the file on one connection; a row of figures. */
async function storm(server, { requests, group, clients, seconds = 0, most = clients, bytes }) {
  const options = { port: server.port, requests, group, sessions: clients, clients: most, seconds }
  const { result, ...costs } = await cost(server, () =>
    load('list', { ...options, timeout: 600, records: 1 }),
  )
  return {
    ...{ clients, ...costs, ...pullTogether(result.records, clients, bytes) },
    ...{ sentMegabytes: result.bytes / 1e6, generatorBusy: result.busy },
  }
}

/** What the wire takes: the p99 of as many clients that get an answer's bytes from nginx as a file, at once; in ms. */
async function wireTimes(operations, clients) {
  const reference = referenceServers().find(({ name }) => name === 'nginx, static file')
  const times = {}
  if (reference.missing.length > 0) return times
  await eachInTurn([reference], async ({ port }) => {
    for (const operation of operations) {
      const { last } = await load('burst', { port, requests: staticFile(operation), clients, timeout: 600 })
      times[operation] = last.p99
    }
  })
  return times
}

export async function run({ repositories, quick }) {
  const { clients, seconds, alone, unique } = sizes(quick)
  const repository = packRepository(quick)
  const tip = repository.commits.at(-1)
  const realClients = await makeClients(repository)
  const operations = Object.entries(await recordAll(repository.copy(), realClients)).map(
    ([operation, recorded]) => {
      const { requests, bytes } = recorded
      const ask = (copy) => ({
        name: copy.name,
        requests: replayFile(requests, copy),
        group: requests.length,
        bytes,
      })
      // A copy for each phase: no cache of a server knows it.
      const [atOnce, spread, ...singles] = Array.from({ length: 2 + alone }, () => ask(repository.copy()))
      return { operation, atOnce, spread, singles }
    },
  )
  const stream = replayFile(uniqueFetches(repository.commits, unique), repository.copy(), () => true)
  const wire = await wireTimes(Object.keys(realClients), clients)
  const rivals = packContenders().filter(({ missing }) => missing.length === 0)
  const rows = []
  await eachInTurn(rivals, async (server) => {
    await wakeForPacks(server, repositories.small, quick)
    for (const { operation, singles, atOnce, spread } of operations) {
      const place = { operation, server: server.name }
      const solo = []
      for (const each of singles) solo.push((await storm(server, { ...each, clients: 1 })).wallP50)
      const row = { ...place, form: 'at once', ...(await storm(server, { ...atOnce, clients })) }
      rows.push({ ...row, soloMs: median(solo), wireMs: wire[operation] })
      const slower = await storm(server, { ...spread, clients, seconds })
      rows.push({ ...place, form: `spread over ${seconds} s`, ...slower })
      if (quick && server.name !== 'refstream') continue
      const fault = await faultOfClient(realClients[operation], `${server.url}/${atOnce.name}`, tip)
      if (fault) rows.at(-2).faults = [rows.at(-2).faults, fault].filter(Boolean).join(', ')
    }
    const figures = await storm(server, { requests: stream, group: 1, clients: unique, most: 4 })
    rows.push({ operation: 'unique', form: '4 at a time', server: server.name, ...figures })
  })
  // Without packs, refstream is what it is compared with, and no other.
  const names = rivals.map(({ name }) => name).filter((name) => name !== 'refstream --no-packs')
  return { rows: inOrder(rows), rivals: names }
}

const order = ['clone', 'checkout', 'fetch', 'unique']
/** By operation and form, and within these in the order of servers. */
const inOrder = (rows) =>
  rows.toSorted(
    (a, b) => order.indexOf(a.operation) - order.indexOf(b.operation) || a.form.localeCompare(b.form),
  )
