import type { Settings } from '../../config/options/options.js'
import { AgedCache } from '../../freshness/aged/aged-cache.js'
import { PackService } from '../../origin/packs/pack-service.js'
import { viewOf, viewsBy } from '../../origin/upstream/credentials/view.js'
import { addressOf } from '../../origin/upstream/upstream.js'
import { UpstreamBackend } from '../../origin/upstream/upstream-backend.js'
import { UpstreamOrigin } from '../../origin/upstream/upstream-origin.js'
import { UpstreamPacks } from '../../origin/upstream/upstream-packs.js'
import { UpstreamPeers } from '../../origin/upstream/upstream-peers.js'
import { KeptAnswers } from '../../origin/upstream/refs/kept-answers.js'
import { UpstreamRefs } from '../../origin/upstream/refs/upstream-refs.js'
import { UpstreamRequests } from '../../origin/upstream/upstream-requests.js'
import type { Upstreams } from '../../origin/upstream/upstreams.js'
import type { OriginParts } from './origin-parts.js'
import type { UpstreamCredentialFile } from './upstream-credentials.js'
import { openUpstreams } from './open-upstreams.js'

/** The upstream servers, and what else is known of them. */
export interface UpstreamParts {
  readonly origin: UpstreamOrigin
  readonly upstreams: Upstreams
  /** Tells what is kept. */
  readonly kept: KeptAnswers
  /** Answers other nodes of a fleet. */
  readonly peers: UpstreamPeers
  /** Called with the subject of a repository that may have changed. */
  readonly changed: (subject: string) => void
  close(): Promise<void>
}

/** @throws ConfigError */
export function openUpstreamOrigin(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  gitVersion: string,
  credentialFile: UpstreamCredentialFile | undefined,
  parts: OriginParts,
): UpstreamParts {
  const { leases, packCache, listings, fillReports, packReports, limits, metrics, tracing, log } = parts
  const { backOff } = limits
  const statusOf = (subject: string) => leases.statusOf(subject)
  const refresh = (subject: string) => leases.refresh(subject)
  // All nodes of a fleet know a client by one name.
  const views = parts.fleet ? viewsBy(parts.fleet.viewKey) : viewOf
  const { upstreams, close } = openUpstreams(settings, environment, gitVersion, credentialFile, views, parts)
  const cache = new AgedCache({ cache: parts.cache, statusOf, refresh })
  const requests = new UpstreamRequests({
    ended: (upstream, cause, result) => metrics.upstreamRequests.inc({ upstream, cause, result }),
    deltaEnded: (upstream, result, saved) => {
      metrics.upstreamDeltas.inc({ upstream, result })
      metrics.upstreamDeltaSaved.inc({ upstream }, saved)
    },
  })
  const refs = new UpstreamRefs({
    ...{ requests, cache, listings, fillReports, backOff, refresh },
    ...{ fleet: parts.fleet?.fills, tracing },
    verdictMs: settings.authCacheSeconds * 1000,
    staleMs: settings.upstreamStaleSeconds * 1000,
    events: {
      clientAsked: (upstream) => metrics.upstreamClientRequests.inc({ upstream }),
      answered: (upstream, ageMs, isStale) => {
        metrics.upstreamAnswerAge.observe({ upstream }, ageMs / 1000)
        if (isStale) metrics.upstreamStaleAnswers.inc({ upstream })
      },
    },
  })
  const source = new UpstreamPacks({
    ...{ upstreams, requests, refs, statusOf, refresh },
    outdated: (repository) => {
      metrics.upstreamDroppedEntries.inc({ upstream: repository.upstream.name })
      log.info(
        { repository: addressOf(repository) },
        'the upstream does not have what a kept entry advertises; it was dropped',
      )
      // What could not be told to other nodes now is told later.
      Promise.resolve(leases.invalidate(repository.subject)).catch(() => {})
    },
  })
  const packs = new PackService({
    enabled: settings.packs,
    source,
    producer: 'upstream',
    ...{ cache: packCache, fillReports, reports: packReports, backOff },
    ...{ fleet: parts.fleet?.packRuns, tracing },
  })
  const forwardedHeaders = new Set(settings.upstreamForwardHeaders)
  const backend = new UpstreamBackend({ upstreams, requests, leases, forwardedHeaders })
  return {
    origin: new UpstreamOrigin({ upstreams, refs, packs, backend }),
    upstreams,
    kept: new KeptAnswers({ upstreams, aged: cache, cache: parts.cache, statusOf }),
    peers: new UpstreamPeers({ upstreams, refs, packs }),
    changed: (subject) => cache.changed(subject),
    close: async () => {
      cache.close()
      await close()
    },
  }
}
