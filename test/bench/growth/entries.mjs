// Cost of a start against the number of entries that its store has.
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { requestFile, truth } from '../compare/requests.mjs'
import { load } from '../compare/tools.mjs'
import { makeRepository, metric } from '../rig.mjs'
import { listenings, memory, onRefstream } from './measure.mjs'

const repository = { name: 'entries.git' }
const digest = (text) => createHash('sha256').update(text).digest('hex')

/** The one entry that a refstream stores for the repository: a body, its name, and its metadata. */
const storedEntry = (requests) =>
  onRefstream(async (server) => {
    await load('burst', { port: server.port, requests, clients: 1 })
    const place = join(server.place, 'cache/instance-0/entries')
    for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(20)) {
      const names = readdirSync(place)
      const name = names.find((each) => names.includes(`${each}.meta`))
      if (!name) continue
      const metadata = JSON.parse(readFileSync(join(place, `${name}.meta`), 'utf8'))
      return { name, metadata, body: readFileSync(join(place, name)) }
    }
    throw new Error(`nothing is stored in ${place}`)
  })

/** Writes that entry and copies of it for other keys: as a store that has served so many repositories. */
function writeStore(cache, { body, metadata, name }, count) {
  const place = join(cache, 'instance-0/entries')
  mkdirSync(place, { recursive: true, mode: 0o700 })
  for (let index = 0; index < count; index++) {
    const key = index === 0 ? metadata.key : metadata.key.replace(repository.name, `other-${index}.git`)
    const { format, token, length, sha256, committedAt } = metadata
    const json = JSON.stringify({ format, key, token, length, sha256, committedAt: committedAt - index })
    const path = join(place, index === 0 ? name : `${digest(key)}.${randomUUID()}`)
    writeFileSync(path, body)
    writeFileSync(`${path}.meta`, `${json.slice(0, -1)},"checksum":"${digest(json)}"}\n`)
  }
}

/** How many entries the process says it has, until that does not change any more. */
async function whenScanned(adminUrl, count, since) {
  for (let [seen, same, at] = [-1, 0, 0]; ;) {
    const entries = await metric({ adminUrl }, 'refstream_store_entries')
    const now = performance.now() - since
    if (entries !== seen) [seen, same, at] = [entries, 0, now]
    if (entries >= count || ++same > 50) return { entries, ms: at }
    await sleep(20)
  }
}

const sizeOf = (count, entry, { requests, expected, quick }) =>
  onRefstream(
    async (server) => {
      const starts = []
      let last
      for (let round = 0; round < (quick ? 1 : 3); round++) {
        await server.halt()
        const { count: before } = listenings(server)
        const since = performance.now()
        const launched = server.launch()
        const answered = load('first', { port: server.port, requests, timeout: 120 })
        await launched
        const listeningMs = performance.now() - since
        const { last: times, answers } = await answered
        // It writes that line after it listens.
        while (listenings(server).count === before && performance.now() - since < 60_000) await sleep(5)
        const { entries, ms } = await whenScanned(listenings(server).admin, count, since)
        last = { entries, answers }
        starts.push({ listeningMs, firstMs: times.max, scannedMs: ms })
      }
      await sleep(quick ? 500 : 3000)
      const least = (key) => Math.min(...starts.map((each) => each[key]))
      const right = last.answers.every(({ hash, status }) => status === 200 && hash === expected.hash)
      return {
        ...{ entries: count, found: last.entries, resident: memory(server).resident },
        ...{ listeningMs: least('listeningMs'), firstMs: least('firstMs'), scannedMs: least('scannedMs') },
        faults: right ? '' : 'a wrong answer',
      }
    },
    {
      prepare: (cache) => writeStore(cache, entry, count),
      flags: ['--cache-max-entries', '200000'],
    },
  )

export async function run({ quick, each }) {
  makeRepository(repository.name, 20)
  const setup = {
    requests: requestFile(repository, 'advertisement', { closing: true }),
    expected: truth(repository, 'advertisement'),
    quick,
  }
  const entry = await storedEntry(setup.requests)
  return [
    {
      title: 'Entries in the store at start',
      by: 'entries',
      columns: {
        found: { head: 'found' },
        listeningMs: { head: 'listening, ms', line: 'constant' },
        firstMs: { head: 'first right answer, ms', line: 'constant' },
        scannedMs: { head: 'all known, ms', line: 'linear' },
        resident: { head: 'RSS at rest, MB', line: 'linear' },
      },
      rows: await each(quick ? [100, 1000, 10_000] : [100, 10_000, 100_000], (count) =>
        sizeOf(count, entry, setup),
      ),
    },
  ]
}
