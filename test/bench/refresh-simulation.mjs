// How many requests an upstream gets per client request, by how often clients ask: with refreshes that are owed, and with
// refreshes that go on for days after the last request. refstream's own AgedCache runs, with a virtual clock; the others
// are computed for the same arrivals. The upstream answers at once, and changes every six hours or so.
//
//   make build && node test/bench/refresh-simulation.mjs
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { AgedCache } from '../../dist/freshness/aged/aged-cache.js'
import { StreamCache } from '../../dist/streamcache/index.js'
import { lineCharts } from './chart.mjs'
import { directory, save, table } from './rig.mjs'
import { VirtualClock } from './virtual-clock.mjs'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const week = 7 * day
const boundMs = 25 * minute

/** Pseudo-random numbers from 0 to 1: each run of this program sees the same arrivals. */
let state = 1
const random = () => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}
const exponential = (meanMs) => -Math.log(1 - random()) * meanMs

// ---- when clients ask

function* poisson(everyMs, untilMs) {
  for (let at = exponential(everyMs); at < untilMs; at += exponential(everyMs)) yield at
}

/** A job that runs once a week: the worst case of those that refresh for days after the last request. */
function* mondays(untilMs) {
  for (let at = 9 * hour; at < untilMs; at += week) yield at
}

/** A pipeline that starts once a day or so: 200 requests within ten seconds. */
function* bursts(untilMs) {
  for (const start of poisson(day, untilMs)) {
    const burst = Array.from({ length: 200 }, () => start + random() * 10 * second)
    yield* burst.sort((a, b) => a - b)
  }
}

/** Once a minute from 9 to 17 o'clock on five days of the week. */
function* workingDays(untilMs) {
  for (const at of poisson(minute, untilMs)) {
    const isWorkday = at % week < 5 * day
    const hourOfDay = (at % day) / hour
    if (isWorkday && hourOfDay >= 9 && hourOfDay < 17) yield at
  }
}

const rates = [
  ['once a week', week],
  ['once a day', day],
  ['4 a day', day / 4],
  ['once an hour', hour],
  ['every 25 minutes', 25 * minute],
  ['every 10 minutes', 10 * minute],
  ['once a minute', minute],
  ['every 10 seconds', 10 * second],
  ['once a second', second],
  ['10 a second', second / 10],
]
const scenarios = [
  ...rates.map(([name, everyMs]) => {
    const spanMs = Math.max(day, 500 * everyMs)
    return { name, spanMs, perDay: day / everyMs, arrivals: () => poisson(everyMs, spanMs) }
  }),
  { name: 'every Monday at 9', spanMs: 100 * week, arrivals: () => mondays(100 * week) },
  { name: '200 at once, once a day', spanMs: 100 * day, arrivals: () => bursts(100 * day) },
  { name: 'once a minute in working hours', spanMs: 4 * week, arrivals: () => workingDays(4 * week) },
]

// ---- policies: how often they ask the upstream, and how many clients wait for it

/** Refreshes at every end of the bound until that long after the last request; then what is kept is dropped. */
function refreshAlways(arrivals, goOnMs) {
  let [asked, waited, filledAt, last] = [0, 0, -Infinity, -Infinity]
  const refreshesUntil = (time) => Math.floor((time - filledAt) / boundMs)
  for (const at of arrivals) {
    const until = last + goOnMs
    if (at > until) {
      if (last > -Infinity) asked += refreshesUntil(until)
      asked++
      waited++
      filledAt = at
    }
    last = at
  }
  return { asked: asked + refreshesUntil(last + goOnMs), waited, oldestMs: boundMs }
}

/** Asks only for a client, when what is kept is older than the bound. */
function refreshNever(arrivals) {
  let [asked, filledAt, oldestMs] = [0, -Infinity, 0]
  for (const at of arrivals) {
    if (at - filledAt > boundMs) {
      asked++
      filledAt = at
    }
    oldestMs = Math.max(oldestMs, at - filledAt)
  }
  return { asked, waited: asked, oldestMs }
}

const cache = await StreamCache.open({
  directory: join(directory, 'cache'),
  ...{ maxBytes: 2 ** 30, maxEntries: 1000, maxEntryBytes: 2 ** 20, minFreeBytes: 0, minFreeInodes: 0 },
  ...{ maxAgeMs: 2 ** 40, hotMaxBytes: 2 ** 26, maxLeadBytes: 2 ** 26 },
  ...{ fillTimeoutMs: minute, fillSilenceMs: minute },
})

/** refstream's bounded mode, by its own code. */
async function refreshOwed(key, arrivals) {
  const clock = new VirtualClock()
  let [asked, waited, oldestMs, changesAt, version] = [0, 0, 0, 0, 0]
  let ended
  const aged = new AgedCache({
    ...{ cache, clock, random, statusOf: () => ({ open: 0, openings: 0, changes: 0 }) },
    events: { upstreamAsked: () => asked++ },
  })
  const settled = async () => {
    for (let count = 0; count < 4; count++) await turn()
    await ended
    await turn()
  }
  const request = {
    ...{ key, subject: key, maxAgeMs: boundMs, staleMs: 0, mayBeStale: () => true },
    arrivedAtMs: 0,
    ask: async (kept) => {
      const isChanged = clock.now() >= changesAt
      while (clock.now() >= changesAt) {
        changesAt += exponential(6 * hour)
        version++
      }
      if (kept && !isChanged) return 'unchanged'
      return (async function* () {
        yield Buffer.from(`version ${version}\n`)
      })()
    },
    fillStarted: (fill) => (ended = fill.ended),
  }
  for (const at of arrivals) {
    // Most arrivals have no timer before them, and must not cost a promise.
    if (clock.isDue(at)) await clock.goTo(at, settled)
    else clock.skipTo(at)
    request.arrivedAtMs = at
    let reading = aged.read(request)
    if (reading instanceof Promise) {
      waited++
      reading = await reading
      await settled()
    }
    oldestMs = Math.max(oldestMs, reading.ageMs)
    reading.follower.close()
  }
  // What is still owed is paid.
  await clock.goTo(clock.now() + week, settled)
  aged.close()
  return { asked, waited, oldestMs }
}

const policies = {
  'refstream, owed': refreshOwed,
  'always, for 1 day': (_key, arrivals) => refreshAlways(arrivals, day),
  'always, for 3 days': (_key, arrivals) => refreshAlways(arrivals, 3 * day),
  'by clients only': (_key, arrivals) => refreshNever(arrivals),
}

// ---- the run

const results = []
for (const { name, spanMs, perDay, arrivals } of scenarios) {
  const times = [...arrivals()]
  const row = { name, days: spanMs / day, requests: times.length, perDay }
  row.perDay ??= times.length / row.days
  row.isRate = perDay !== undefined
  for (const [policy, run] of Object.entries(policies)) {
    const { asked, waited, oldestMs } = await run(name, times)
    const atOnce = 1 - waited / times.length
    row[policy] = { asked, amplification: asked / times.length, atOnce, oldestMinutes: oldestMs / minute }
  }
  results.push(row)
}
await cache.close()

const ratio = (value) => `${value >= 0.01 ? value.toFixed(2) : value.toPrecision(1)}×`
const share = (value) => `${(value * 100).toFixed(value > 0.99 && value < 1 ? 2 : 0)} %`
const names = Object.keys(policies)
const most = (policy) => Math.max(...results.map((row) => row[policy].amplification))
if (most('refstream, owed') > 1) throw new Error('the upstream was asked more often than clients have asked')
const oldest = Math.max(...results.map((row) => row['refstream, owed'].oldestMinutes))
const report = [
  'Requests to the upstream per client request for one key, with a bound of 25 minutes, by how often clients ask.',
  `The most over all rows: ${names.map((policy) => `${policy} ${ratio(most(policy))}`).join('; ')}.`,
  `refstream’s oldest answer was ${oldest.toFixed(1)} minutes old. Arrivals are random (Poisson) with a fixed seed; time is virtual.\n`,
  ...table(
    ['clients ask', 'days', 'requests', ...names],
    results.map((row) => [
      ...[row.name, row.days, row.requests],
      ...names.map((policy) => ratio(row[policy].amplification)),
    ]),
  ),
  '\nClients that were answered at once, without waiting for the upstream:\n',
  ...table(
    ['clients ask', ...names],
    results.map((row) => [row.name, ...names.map((policy) => share(row[policy].atOnce))]),
  ),
].join('\n')
console.log(report)

const x = { label: 'client requests per day', log: true }
const series = (of) =>
  names.slice(0, 3).map((name) => ({
    name,
    points: results.filter(({ isRate }) => isRate).map((row) => [row.perDay, of(row[name])]),
  }))
const panels = [
  {
    ...{ title: 'amplification', x, y: { label: 'upstream requests per client request', log: true } },
    series: series(({ amplification }) => amplification),
  },
  {
    ...{ title: 'answered without waiting', x, y: { label: 'percent of client requests' } },
    series: series(({ atOnce }) => 100 * atOnce),
  },
]
save('refresh', report, { boundMs, results }, lineCharts('Refreshes within 25 minutes', panels))
