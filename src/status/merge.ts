import { summedHitters } from './heavy-hitters.js'
import {
  shownMax,
  type Kept,
  type PermitClass,
  type Status,
  type TopKeys,
  type UpstreamStatus,
} from './model.js'
import type { RecentFailure } from './recent-failures.js'

/** The status of one worker process. */
export interface OfWorker {
  readonly worker: number
  readonly status: Status
}

/**
 * Makes one status of those of all workers. What all of them share (leases, settings, fleet, versions) is that of the first.
 * @param expected how many workers there should be
 */
export function mergeStatuses(all: readonly OfWorker[], expected: number): Status {
  const statuses = all.map(({ status }) => status)
  const [first] = statuses
  if (!first) throw new Error('there is no status to merge')
  const sum = (of: (status: Status) => number): number =>
    statuses.reduce((total, each) => total + of(each), 0)
  const unready = statuses.find(({ ready }) => !ready.isReady)
  return {
    ...first,
    uptimeSeconds: Math.max(...statuses.map(({ uptimeSeconds }) => uptimeSeconds)),
    ready: unready?.ready ?? first.ready,
    processes: { expected, answered: statuses.length },
    requests: {
      underWay: sum(({ requests }) => requests.underWay),
      waiting: sum(({ requests }) => requests.waiting),
      followers: sum(({ requests }) => requests.followers),
      sentBytes: sum(({ requests }) => requests.sentBytes),
      byOutcome: summedCounts(statuses.map(({ requests }) => requests.byOutcome)),
    },
    fills: {
      count: sum(({ fills }) => fills.count),
      oldest: all
        .flatMap(({ worker, status }) => status.fills.oldest.map((fill) => ({ ...fill, worker })))
        .sort((a, b) => b.ageMs - a.ageMs)
        .slice(0, shownMax.fills),
    },
    permits: {
      limit: sum(({ permits }) => permits.limit),
      processes: sum(({ permits }) => permits.processes),
      classes: mergedClasses(statuses.flatMap(({ permits }) => permits.classes)),
    },
    failures: mergedFailures(statuses.flatMap(({ failures }) => failures)),
    top: mergedTop(statuses.map(({ top }) => top)),
    entries: mergedKept(statuses.map(({ entries }) => entries)),
    packs: mergedKept(statuses.map(({ packs }) => packs)),
    listingBytes: sum(({ listingBytes }) => listingBytes),
    upstreams: mergedUpstreams(statuses.flatMap(({ upstreams }) => upstreams)),
    ...(first.fleet && {
      fleet: { ...first.fleet, isEngineUp: statuses.every(({ fleet }) => fleet?.isEngineUp ?? false) },
    }),
  }
}

function summedCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>()
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count)
  return Object.fromEntries(sums)
}

/** Makes one of those that are about the same, in the order in which they come first. */
function grouped<T>(all: readonly T[], keyOf: (each: T) => string, add: (sum: T, each: T) => T): T[] {
  const groups = new Map<string, T>()
  for (const each of all) {
    const key = keyOf(each)
    const sum = groups.get(key)
    groups.set(key, sum === undefined ? each : add(sum, each))
  }
  return [...groups.values()]
}

const mergedClasses = (all: readonly PermitClass[]): PermitClass[] =>
  grouped(
    all,
    (each) => each.class,
    (a, b) => ({ class: a.class, running: a.running + b.running, waiting: a.waiting + b.waiting }),
  )

const mergedFailures = (all: readonly RecentFailure[]): RecentFailure[] =>
  grouped(
    all,
    ({ event, subject, message }) => `${event}\0${subject}\0${message}`,
    (a, b) => ({
      ...a,
      count: a.count + b.count,
      firstAt: Math.min(a.firstAt, b.firstAt),
      lastAt: Math.max(a.lastAt, b.lastAt),
    }),
  )
    .sort((a, b) => b.lastAt - a.lastAt)
    .slice(0, shownMax.failures)

function mergedTop(all: readonly TopKeys[]): TopKeys {
  const merged = (of: 'byRequests' | 'byBytes' | 'byFills') =>
    summedHitters(
      all.map((each) => each[of]),
      shownMax.top,
    )
  return {
    spanSeconds: Math.max(...all.map(({ spanSeconds }) => spanSeconds)),
    byRequests: merged('byRequests'),
    byBytes: merged('byBytes'),
    byFills: merged('byFills'),
  }
}

const mergedKept = (all: readonly Kept[]): Kept =>
  all.reduce((a, b) => ({
    count: a.count + b.count,
    bytes: a.bytes + b.bytes,
    memoryBytes: a.memoryBytes + b.memoryBytes,
    isShort: a.isShort || b.isShort,
  }))

const mergedUpstreams = (all: readonly UpstreamStatus[]): UpstreamStatus[] =>
  grouped(
    all,
    ({ name }) => name,
    (a, b) => {
      const clientRequests = a.clientRequests + b.clientRequests
      const upstreamRequests = a.upstreamRequests + b.upstreamRequests
      const answered = [a, b].flatMap(({ answeredSecondsAgo: ago }) => (ago === undefined ? [] : [ago]))
      return {
        name: a.name,
        breaker: a.breaker === 'open' ? 'open' : b.breaker,
        connections: a.connections + b.connections,
        ...{ clientRequests, upstreamRequests },
        ...(clientRequests > 0 && { quotient: upstreamRequests / clientRequests }),
        ...(answered.length > 0 && { answeredSecondsAgo: Math.min(...answered) }),
      }
    },
  )
