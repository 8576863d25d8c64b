import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What gauges read at the moment of a scrape. */
export interface GaugeSources {
  readonly followers: () => number
  readonly storeBytes: () => number
  readonly storeEntries: () => number
  readonly hotBytes: () => number
  readonly listingBytes: () => number
  readonly processesRunning: () => number
  readonly leasesOpen: () => number
  readonly requestsUnderWay: () => number
  readonly requestsWaiting: () => number
  readonly requestsPipelined: () => number
  readonly requestBodyBytes: () => number
  readonly processLimit: () => number
  readonly processClasses: () => Iterable<{ class: string; running: number; waiting: number }>
  readonly helpers: () => { running: number; stuck: number }
  readonly repositories: () => Iterable<{ mode: string; reason: string; count: number }>
  readonly logLinesDropped: () => number
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

/**
 * Metrics of prom-client's that cost too much. Some walk through all that is open at each scrape: with 5000 connections
 * they hold up every answer for some 40 ms. Others wake the program a hundred times a second for their samples, which is
 * 1.6 % of a processor while nobody asks anything; nodejs_eventloop_lag_seconds, measured at each scrape, stays.
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
/** As seldom as a timer can be: nobody reads these samples. */
const eventLoopMonitoringPrecision = 2 ** 31 - 1

/** Every metric of refstream, with the registry that prints them. */
export class Metrics {
  readonly registry = new Registry()

  readonly requests = this.#counter(
    'refstream_requests_total',
    'Requests answered. outcome: hit (a committed entry), joined (a fill that was running), filled (this request ' +
      'started the fill), gathered (waited for the next fill), passthrough (Git answered), not_found, unauthenticated, forbidden, ' +
      'rejected (a bad request), shed (overload: told to come again), aborted (the client left), error (the answer failed).',
    ['transport', 'kind', 'protocol', 'outcome'],
  )
  readonly fills = this.#counter(
    'refstream_fills_total',
    'Fills that ended. result: committed (kept for reuse), unshared (the refs changed meanwhile: it served those who ' +
      'had joined), loser (another fill had committed the same state), unstored (the disk failed), failed (Git failed ' +
      'or was killed). kind, here and below: advertisement, or listing (of refs, for ls-refs).',
    ['kind', 'result'],
  )
  readonly fillFailures = this.#counter(
    'refstream_fill_failures_total',
    'Fills that failed, by fault: producer (Git), first-byte, silence and timeout (it hung and was killed), shed (no ' +
      'turn), backing-off (tried too soon after other failures), exchanged (its path came to mean another repository), unanswered (its filesystem does not answer), closed (refstream was ending).',
    ['kind', 'fault'],
  )
  readonly fillRetries = this.#counter(
    'refstream_fill_retries_total',
    'New tries of fills whose Git process had failed.',
  )
  readonly fillSeconds = this.#histogram(
    'refstream_fill_seconds',
    'Time from starting Git until its output was committed or not, in seconds.',
    ['kind'],
  )
  readonly fillBytes = this.#counter('refstream_fill_bytes_total', 'Bytes that fills produced.', ['kind'])
  readonly sentBytes = this.#counter(
    'refstream_sent_bytes_total',
    'Body bytes handed to clients, from the cache and passed through.',
    ['transport', 'kind'],
  )
  readonly compressionSaved = this.#counter(
    'refstream_compression_saved_bytes_total',
    'Body bytes that were not sent because clients accepted a compressed form.',
    ['transport', 'encoding'],
  )
  readonly firstByteSeconds = this.#histogram(
    'refstream_first_byte_seconds',
    'Time from a request to the first byte of its answer, in seconds.',
    ['transport', 'kind'],
  )
  readonly processesStarted = this.#counter(
    'refstream_processes_started_total',
    'Git processes started, by Git command.',
    ['command'],
  )
  readonly loserWrites = this.#counter(
    'refstream_loser_writes_total',
    'Fills whose result nobody needed because another fill had committed the same state first. Should stay at 0.',
  )
  readonly loserBytes = this.#counter('refstream_loser_bytes_total', 'Bytes of loser writes.')
  readonly observations = this.#counter(
    'refstream_observations_total',
    'Looks at a repository. result: settled, unsettled (changed too recently to be trusted), leased (a mutator lease is ' +
      'open where leases decide), missing, timeout (its filesystem did not answer, or has not since the last try).',
    ['result'],
  )
  readonly permitWaitSeconds = this.#histogram(
    'refstream_process_permit_wait_seconds',
    'Time that Git processes waited for their turn, in seconds. class, here and below: fill, or pass (pass-through).',
    ['class'],
  )
  readonly processesShed = this.#counter(
    'refstream_processes_shed_total',
    'Git processes that did not get a turn; all who waited for one were told to come again. reason: queue-full, wait ' +
      '(longer than queue-wait-seconds).',
    ['class', 'reason'],
  )
  readonly admissionWaitSeconds = this.#histogram(
    'refstream_admission_wait_seconds',
    'Time that requests waited at the door, in seconds, for the event loop was busy; those that had to.',
    [],
  )
  readonly requestsShed = this.#counter(
    'refstream_requests_shed_total',
    'Requests shed at the door. reason: full (more than max-requests), share (too many of one client address), ' +
      'queue-full, wait (longer than queue-wait-seconds).',
    ['reason'],
  )
  readonly clientsCut = this.#counter(
    'refstream_clients_cut_total',
    'Connections that were cut. reason: idle (the client took nothing), slow (too little), silent (it did not send the ' +
      'rest of its request), trickling (it sent too little of it), pipelining (too many requests wait for others on their connections).',
    ['reason'],
  )
  readonly incomingCut = this.#counter(
    'refstream_grpc_requests_cut_total',
    'gRPC calls ended before their request had come. reason: silent (nothing of it came for too long), memory (all that ' +
      'were coming held too much; of the address that held most, the one that was silent longest).',
    ['reason'],
  )
  readonly passThroughCut = this.#counter(
    'refstream_pass_through_cut_total',
    'Fetches, pushes and the like whose Git process was ended because no byte came to it or from it for too long.',
  )
  readonly leasesOpened = this.#counter(
    'refstream_leases_opened_total',
    'Mutator leases that were opened, those of pushes through refstream among them.',
  )
  readonly leasesEnded = this.#counter(
    'refstream_leases_ended_total',
    'Mutator leases that ended. end: changed, unchanged, expired (counts as changed: the holder has gone or is slow).',
    ['end'],
  )
  readonly invalidations = this.#counter(
    'refstream_invalidations_total',
    'Invalidations asked for, by source: api, grpc, or the kind of webhook.',
    ['source'],
  )
  readonly adminRefused = this.#counter(
    'refstream_admin_refused_total',
    'Requests to the admin address that were refused before they were read. reason: bodies (the bodies of all such ' +
      'requests need more than 64 MiB: the largest is told to come again), host (a host name that is not of this address).',
    ['reason'],
  )
  readonly evictions = this.#counter(
    'refstream_store_evictions_total',
    'Committed entries dropped while sound. reason: size (over cache-max-bytes), entries (over cache-max-entries), age, superseded (a newer state).',
    ['reason'],
  )
  readonly discarded = this.#counter(
    'refstream_store_discarded_total',
    'Files found in the cache directory that could not be used. reason: temp (a crash left it), truncated, corrupt, format (another version wrote it).',
    ['reason'],
  )
  readonly storeErrors = this.#counter(
    'refstream_store_errors_total',
    'Failures of the cache directory, by what was tried. Requests went on, uncached.',
    ['operation'],
  )

  readonly tlsRefused = this.#counter(
    'refstream_tls_refused_total',
    'TLS connections that were refused. reason: handshake (no TLS, nothing in common, or too slow), client (it has no ' +
      'certificate that may come in).',
    ['reason'],
  )
  readonly authChecks = this.#counter(
    'refstream_auth_checks_total',
    'Checks that took more than a lookup; those who ask the same share one. by: password (bcrypt), url (auth-url was ' +
      'asked). result: allowed, denied, failed (no answer that could be used: nobody was let in).',
    ['by', 'result'],
  )
  readonly reloads = this.#counter(
    'refstream_reloads_total',
    'Times that files were read again, by what is in them: tls, auth-tokens, auth-htpasswd, admin-tokens. result: ok, ' +
      'failed (what was read before stays in force).',
    ['what', 'result'],
  )

  readonly tlsExpiry = new Gauge({
    name: 'refstream_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate expires that clients are shown, in seconds since 1970; absent without TLS.',
    registers: [this.registry],
  })
  readonly storeFull = new Gauge({
    name: 'refstream_store_full',
    help: '1 while the cache’s filesystem has too little room left, so that nothing is stored; else 0.',
    registers: [this.registry],
  })

  constructor() {
    // Every outcome that an operator alerts on exists from the first scrape, at 0.
    this.loserWrites.inc(0)
    this.loserBytes.inc(0)
    this.observations.inc({ result: 'timeout' }, 0)
    for (const end of ['changed', 'unchanged', 'expired']) this.leasesEnded.inc({ end }, 0)
    this.tlsExpiry.remove()
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision })
    for (const name of costlyMetrics) this.registry.removeSingleMetric(name)
  }

  /** Registers the gauges; called once, when the parts they read are there. */
  watch(sources: GaugeSources): void {
    this.#gauge('refstream_followers', 'Readers attached to entries now.', sources.followers)
    this.#gauge('refstream_store_bytes', 'Bytes of committed entries on disk.', sources.storeBytes)
    this.#gauge('refstream_store_entries', 'Committed entries on disk.', sources.storeEntries)
    this.#gauge('refstream_hot_bytes', 'Bytes of entries in memory.', sources.hotBytes)
    this.#gauge(
      'refstream_listing_bytes',
      'Bytes of memory for ref listings that answer ls-refs.',
      sources.listingBytes,
    )
    this.#gauge('refstream_processes_running', 'Git processes running now.', sources.processesRunning)
    this.#gauge('refstream_leases_open', 'Mutator leases open now.', sources.leasesOpen)
    this.#gauge('refstream_requests_under_way', 'Requests being answered now.', sources.requestsUnderWay)
    this.#gauge(
      'refstream_requests_waiting',
      'Requests that wait at the door, for the event loop is busy.',
      sources.requestsWaiting,
    )
    this.#gauge(
      'refstream_requests_pipelined',
      'Requests that wait for an earlier one on their connection.',
      sources.requestsPipelined,
    )
    this.#gauge(
      'refstream_request_body_bytes',
      'Bytes of memory for request bodies that were read before their turn, and for ls-refs commands being answered.',
      sources.requestBodyBytes,
    )
    this.#gauge('refstream_process_limit', 'Most Git processes at once, as of now.', sources.processLimit)
    const gaugeOf = (name: string, help: string, of: 'running' | 'waiting'): void => {
      const gauge = new Gauge({
        name,
        help,
        labelNames: ['class'],
        registers: [this.registry],
        collect: () => {
          for (const each of sources.processClasses()) gauge.set({ class: each.class }, each[of])
        },
      })
    }
    gaugeOf('refstream_process_permits_held', 'Git processes that run in their turn.', 'running')
    gaugeOf('refstream_process_permits_waiting', 'Git processes that wait for their turn.', 'waiting')
    const helpers = new Gauge({
      name: 'refstream_observer_processes',
      help:
        'Processes that look at repositories on network filesystems and unknown ones. state: running, stuck (killed ' +
        'because the filesystem does not answer, and not gone yet).',
      labelNames: ['state'],
      registers: [this.registry],
      collect: () => {
        for (const [state, count] of Object.entries(sources.helpers())) helpers.set({ state }, count)
      },
    })
    this.#countedElsewhere(
      'refstream_log_lines_dropped_total',
      'Lines of the log that could not be written and were dropped: the disk was full, or what reads them did not.',
      sources.logLinesDropped,
    )
    const repositories = new Gauge({
      name: 'refstream_repositories',
      help:
        'Repositories asked for lately, by how their freshness is told. mode: observe, lease. reason: configured, ' +
        'local, network (a network filesystem), directories (more than max-ref-directories).',
      labelNames: ['mode', 'reason'],
      registers: [this.registry],
      collect: () => {
        repositories.reset()
        for (const { mode, reason, count } of sources.repositories())
          repositories.set({ mode, reason }, count)
      },
    })
  }

  #countedElsewhere(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  #counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #histogram<L extends string = never>(name: string, help: string, labelNames: readonly L[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets: seconds, registers: [this.registry] })
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read())
      },
    })
  }
}
