import type { Test } from 'tap'
import { setMaxListeners } from 'node:events'
import { AgedCache } from '../../src/freshness/aged/aged-cache.js'
import { Leases } from '../../src/freshness/leases/leases.js'
import { PackCache } from '../../src/freshness/pack-cache.js'
import { BackOff } from '../../src/limits/back-off.js'
import { FillReports } from '../../src/origin/faults/fill-reports.js'
import { PackReports } from '../../src/origin/packs/pack-reports.js'
import { PackService } from '../../src/origin/packs/pack-service.js'
import { RefListings } from '../../src/origin/ref-listings.js'
import type { ClientCredentials } from '../../src/origin/target.js'
import type { UpstreamRequest } from '../../src/origin/upstream/client/upstream-client.js'
import { viewOf } from '../../src/origin/upstream/credentials/view.js'
import type { Upstream } from '../../src/origin/upstream/upstream.js'
import { UpstreamBackend } from '../../src/origin/upstream/upstream-backend.js'
import { UpstreamOrigin } from '../../src/origin/upstream/upstream-origin.js'
import { UpstreamPacks } from '../../src/origin/upstream/upstream-packs.js'
import { UpstreamRefs, type UpstreamRefsOptions } from '../../src/origin/upstream/refs/upstream-refs.js'
import { UpstreamRequests } from '../../src/origin/upstream/upstream-requests.js'
import { Upstreams } from '../../src/origin/upstream/upstreams.js'
import type { Log } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { eventually } from './eventually.js'
import { FakeClock } from './fake-clock.js'
import { openCache } from './stream-cache.js'
import { responseOf, type UpstreamAnswer } from './upstream-answers.js'

/** What an upstream does with a request: answers it, or fails. */
export type Answerer = (request: UpstreamRequest) => UpstreamAnswer | Error | Promise<UpstreamAnswer | Error>

export interface UpstreamRigOptions extends Partial<Pick<UpstreamRefsOptions, 'verdictMs' | 'staleMs'>> {
  readonly answer: Answerer
  readonly upstream?: Partial<Upstream>
  readonly maxAgeMs?: number
}

/** Opens an upstream origin over an upstream that is the test's own. */
export async function openUpstreamRig(
  t: Test,
  { answer, upstream = {}, maxAgeMs = 0, verdictMs = 60_000, staleMs = 0 }: UpstreamRigOptions,
) {
  const answering = { answer }
  /** All requests, in their order. */
  const sent: UpstreamRequest[] = []
  const client: Upstream['client'] = {
    request: async (request) => {
      sent.push(request)
      setMaxListeners(0, request.signal)
      request.signal.throwIfAborted()
      const left = new Promise<never>((_resolve, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason as Error))
      })
      const found = await Promise.race([answering.answer(request), left])
      if (found instanceof Error) throw found
      const response = responseOf(found)
      request.signal.addEventListener('abort', () => response.body.destroy(request.signal.reason as Error))
      return response
    },
  }
  const { cache } = await openCache(t)
  const { cache: packStreams } = await openCache(t, { memoryFirst: true, repeatable: false })
  const packCache = new PackCache({ cache: packStreams, maxAgeMs: 300_000, graceMs: 600_000 })
  const leases = new Leases(undefined, { changed: (subject) => aged.changed(subject) })
  const statusOf = (subject: string) => leases.statusOf(subject)
  const aged = new AgedCache({ cache, statusOf })
  t.teardown(() => {
    aged.close()
    leases.close()
  })
  const metrics = new Metrics()
  const warnings: unknown[] = []
  const log = { warn: (fields: unknown) => void warnings.push(fields) } as unknown as Log
  const clock = new FakeClock()
  const backOff = new BackOff({ baseMs: 1000, capMs: 10_000, max: 100, clock, random: () => 0.5 })
  const fillReports = new FillReports({ backOff, metrics, log })
  const requests = new UpstreamRequests()
  const upstreams = new Upstreams({
    rules: [
      {
        matches: (path) => !path.startsWith('elsewhere/'),
        upstream: {
          ...{
            name: 'h:80',
            url: 'http://h',
            client,
            service: undefined,
            followsRenames: true,
            isShared: false,
          },
          ...upstream,
        },
      },
    ],
    maxAgeMsOf: () => maxAgeMs,
    viewOf,
  })
  const listings = new RefListings(1 << 24)
  const refs = new UpstreamRefs({
    ...{ requests, cache: aged, listings, fillReports, backOff, verdictMs, staleMs },
  })
  /** Subjects of repositories whose upstream did not have what was advertised. */
  const outdated: string[] = []
  const source = new UpstreamPacks({
    ...{ upstreams, requests, refs, statusOf },
    outdated: ({ subject }) => {
      outdated.push(subject)
      leases.invalidate(subject)
    },
  })
  const packs = new PackService({
    ...{ enabled: true, source, cache: packCache, fillReports, reports: new PackReports(metrics), backOff },
  })
  const backend = new UpstreamBackend({ upstreams, requests, leases, forwardedHeaders: new Set() })
  return {
    ...{
      answering,
      sent,
      cache,
      packStreams,
      leases,
      metrics,
      warnings,
      clock,
      requests,
      upstreams,
      refs,
      outdated,
    },
    ...{ listings, source, packs, backend, origin: new UpstreamOrigin({ upstreams, refs, packs, backend }) },
    /** The repository `r.git`, as a client with these credentials sees it. */
    repositoryFor: (credentials: ClientCredentials = {}) => upstreams.find({ path: 'r.git', credentials }),
    /** Resolves when so many fills have been committed. */
    committed: (count: number) =>
      eventually(`${count} fills are committed`, async () => {
        const { values } = await metrics.fills.get()
        const committed = values.filter(({ labels }) => labels.result === 'committed')
        return committed.reduce((sum, { value }) => sum + value, 0) >= count
      }),
    /** Methods and resources of the requests so far, which are then forgotten. */
    taken: (): string[] =>
      sent.splice(0).map(({ method, path }) => `${method} ${path.replace(/^\/r\.git|\?.*$/g, '')}`),
  }
}
