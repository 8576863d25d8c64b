import { accessMetrics, expiryNoticeDays } from '../metrics/access.js'
import { fillMetrics } from '../metrics/fills.js'
import { fleetMetrics } from '../metrics/fleet.js'
import { freshnessMetrics } from '../metrics/freshness.js'
import { storeMetrics } from '../metrics/store.js'
import { upstreamMetrics } from '../metrics/upstream.js'
import type { Alert } from './alert.js'
import { select } from './expression.js'
import { recordings } from './recordings.js'

/** Alerts about what is promised of answers, and about the cache, the upstreams, the fleet and certificates. */
export const stateAlerts = {
  RefstreamLoserWrites: {
    value: select(fillMetrics.loserWrites).increase('1h'),
    condition: '> 0',
    for: '0s',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} has made an entry twice',
    description: 'Clients notice nothing; Git ran once more than needed.',
    meaning:
      'Two fills of one key and state have run at the same time: the single flight of fills is broken.',
    look: ['`refstream_loser_bytes_total`; the log around that time.', 'Takeovers in the fleet.'],
    act: ['Report it, with the version from `refstream_build_info`.'],
  },
  RefstreamSpliceMismatch: {
    value: select(freshnessMetrics.spliceAudits, { verdict: 'different' }).increaseBy(
      '1h',
      'job',
      'instance',
      'kind',
    ),
    condition: '> 0',
    for: '0s',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }}: a spliced answer differed from what Git lists',
    description: 'Clients may have been sent refs that were wrong.',
    meaning:
      'An audit found a difference. The answer was dropped, and the repository is listed as a whole until the next start.',
    look: [
      'The log: it has the repository and both lines.',
      '`git for-each-ref` and `git fsck` in the repository.',
    ],
    act: ['Run with `--splice off` until it is explained, and report it: [splices.md](splices.md#audits).'],
  },
  RefstreamLeasesExpiring: {
    value: select(freshnessMetrics.leasesEnded, { end: 'expired' }).increase('30m'),
    condition: '> 0',
    for: '0s',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }}: mutator leases expire',
    description: 'Until a lease expires, nothing of its repository is reused: answers are slower.',
    meaning: 'The holder of a lease has crashed or does not renew it. It counts as a change.',
    look: ['What opens leases: hooks, `refstream lease run`, the lease API.', '`refstream_leases_open`.'],
    act: [
      'Repair the holder; ask for a longer lease if its work takes longer: [freshness.md](freshness.md).',
    ],
  },
  RefstreamOlderThanBound: {
    value: select(upstreamMetrics.upstreamStaleAnswers).increase('10m'),
    condition: '> 0',
    for: '0s',
    severity: 'ticket',
    summary:
      'refstream on {{ $labels.instance }} gives answers of {{ $labels.upstream }} that are older than their bound',
    description: 'Clients see refs of up to upstream-stale-seconds ago.',
    meaning: 'The upstream cannot be asked, and `--upstream-stale-seconds` allows older answers meanwhile.',
    look: ['`refstream_upstream_requests_total` with `result="unavailable"`; the log.'],
    act: [
      'Repair the upstream or the way to it. With `--upstream-stale-seconds 0`, clients get an error instead.',
    ],
  },
  RefstreamUpstreamAmplified: {
    value: recordings.amplification.record,
    condition: '> 1',
    for: '30m',
    severity: 'ticket',
    summary: 'refstream asks {{ $labels.upstream }} more often than clients ask',
    description: 'Clients notice nothing; the upstream has more load than without refstream.',
    meaning:
      'The quotient of upstream requests and client requests over an hour has been above 1 for half an hour.',
    look: [
      '`refstream_upstream_requests_total` by `cause`.',
      'Nodes of a fleet that are lost again and again.',
    ],
    act: ['Report it: refreshing is owed, and this must not happen.'],
  },
  RefstreamUpstreamAway: {
    value: select(upstreamMetrics.upstreamBreakerOpen).text,
    condition: '== 1',
    for: '2m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }} does not reach {{ $labels.upstream }}',
    description: 'Clients get 503 for what is not kept.',
    meaning: 'The upstream keeps failing, or has asked for a pause, and the circuit breaker is open.',
    look: [
      'The log: `an upstream request failed`, with its reason.',
      '`curl` to the upstream from this machine.',
    ],
    act: ['Repair the upstream, the name service, the certificate or the network between.'],
  },
  RefstreamEngineDown: {
    value: select(fleetMetrics.fleetEngineUp).text,
    condition: '== 0',
    for: '5m',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} works without its fleet',
    description: 'Clients get right answers, but each node fills for itself: more load on Git.',
    meaning: 'The engine of the fleet does not answer in time.',
    look: ['`refstream_fleet_engine_operations_total` by `result`; the log.', '`refstream doctor`.'],
    act: ['Repair Redis or etcd, or the way to it: [fleet.md](fleet.md).'],
  },
  RefstreamStoreFull: {
    value: select(storeMetrics.storeFull).text,
    condition: '== 1',
    for: '5m',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} stores nothing: the filesystem of the cache is nearly full',
    description: 'Requests are served, uncached: answers are slower, and Git has more to do.',
    meaning:
      'There are fewer free bytes or inodes than `--cache-min-free-bytes` or `--cache-min-free-inodes`.',
    look: ['`df` and `df -i` of the cache directory.'],
    act: ['Make room, lower `--cache-max-bytes`, or move the cache to a filesystem of its own.'],
  },
  RefstreamStoreFailing: {
    value: select(storeMetrics.storeErrors).increaseBy('10m', 'job', 'instance', 'operation'),
    condition: '> 0',
    for: '5m',
    severity: 'ticket',
    summary:
      'refstream on {{ $labels.instance }}: operation {{ $labels.operation }} of the cache directory fails',
    description: 'Requests are served, uncached: answers are slower, and Git has more to do.',
    meaning: 'The cache directory cannot be used: permissions, a disk that fails, a read-only filesystem.',
    look: ['The log has the error.', '`refstream doctor` checks the cache directory; `dmesg` for the disk.'],
    act: ['Repair it; refstream tries again by itself.'],
  },
  RefstreamCertificateExpiring: {
    value: `${select(accessMetrics.tlsExpiry).text} - time()`,
    condition: `< ${expiryNoticeDays} * 86400`,
    for: '1h',
    severity: 'ticket',
    summary: `refstream on {{ $labels.instance }}: the certificate of setting {{ $labels.setting }} expires in less than ${expiryNoticeDays} days, or has expired`,
    description: 'From its expiry on, connections that need it are refused.',
    meaning:
      'A certificate that is in use expires soon: that of the server, of this node of a fleet, for an upstream or an engine, or one of the authorities of clients or nodes. A newer one may be on disk, and not yet read.',
    look: [
      'The label `setting`, and the log: `the certificate of … has expired`, or `expires soon`.',
      '`openssl x509 -noout -dates` of the file.',
      '`refstream_reloads_total` with `result="failed"`.',
    ],
    act: [
      'Renew it. refstream reads a changed file by itself, and at SIGHUP; those of upstream-client-cert and fleet-tls-cert only at a start.',
      'Take an authority that nothing needs any more out of its file.',
    ],
  },
} as const satisfies Readonly<Record<string, Alert>>
