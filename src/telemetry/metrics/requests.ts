import type { Definitions } from './definition.js'

/** The server that a request came to; the admin address counts none of its own requests here. */
export const transport = {
  http: '`--listen`.',
  grpc: '`--grpc`.',
}

/** What a request asks for. */
const kind = {
  advertisement: '`info/refs` for `git-upload-pack`: what a fetch or a clone begins with.',
  'ls-refs': 'protocol v2’s ref listing.',
  'upload-pack': 'the rest of a fetch: the negotiation and the pack.',
  'receive-pack-advertisement': '`info/refs` for `git-receive-pack`: what a push begins with.',
  'receive-pack': 'the rest of a push.',
  'upload-archive': '`git archive --remote`.',
  dumb: 'a file of the dumb protocol.',
  pass: 'not of Git’s protocol (LFS, a web page, an API): passed on to the upstream server; or LFS, which `--lfs-redirect` has.',
  other: 'none of these.',
}

/** Those that are about refs. */
const refsKind = { advertisement: kind.advertisement, 'ls-refs': kind['ls-refs'] }

export const requestMetrics = {
  requests: {
    type: 'counter',
    name: 'refstream_requests_total',
    help: 'Requests answered.',
    details:
      'The hit ratio is that of `hit` and `joined` to all outcomes of `kind="advertisement"` and `kind="ls-refs"`. A push shows as at most one `filled` for each key in use (a repository’s advertisement in one protocol version, or its listing).',
    labels: {
      transport,
      kind,
      protocol: '`v0`, `v1` or `v2`: Git’s protocol version.',
      outcome: {
        hit: 'a committed entry answered.',
        joined: 'a fill that was already running answered.',
        filled: 'this request started the fill that answered it.',
        gathered: 'the request waited for the next fill, which requests share while refs are changing.',
        revalidated: 'a committed entry answered, after the upstream had confirmed that it is unchanged.',
        passthrough: 'Git answered the request itself.',
        preflight:
          'a browser asked whether a page of another origin may send a request (`--cors-origins`): it may.',
        redirected: 'a request for LFS was sent on to `--lfs-redirect`.',
        not_found: 'no such repository, or it is not exported.',
        unauthenticated: 'credentials are required and were missing or wrong.',
        forbidden: 'permission denied.',
        rejected: 'the request was malformed or too large.',
        rate_limited: 'the client has sent more than `--client-rate-limit`: 429 with `Retry-After`.',
        shed: 'overload: the request was answered with `--shed-status` and `Retry-After`.',
        aborted: 'the client disconnected before the end of its answer.',
        error: 'the answer failed; the log says why.',
      },
    },
  },
  firstByteSeconds: {
    type: 'histogram',
    name: 'refstream_first_byte_seconds',
    help: 'Time from the arrival of a request to the first byte of its answer, in seconds.',
    details: 'Waiting for admission, for a Git process and for an authorization service is included.',
    labels: { transport, kind },
  },
  sentBytes: {
    type: 'counter',
    name: 'refstream_sent_bytes_total',
    help: 'Body bytes sent to clients, from the cache and from Git.',
    labels: { transport, kind },
  },
  compressionSaved: {
    type: 'counter',
    name: 'refstream_compression_saved_bytes_total',
    fromZero: true,
    help: 'Body bytes saved because clients accepted a compressed form.',
    labels: {
      transport,
      encoding: { gzip: 'the content coding of RFC 9110, section 8.4.1.3.', zstd: 'that of RFC 8878.' },
    },
  },
  deltaAnswers: {
    type: 'counter',
    name: 'refstream_delta_answers_total',
    fromZero: true,
    help: 'Answers to a refstream above this one that were sent as their differences from an answer that it holds.',
    labels: { kind: refsKind },
  },
  deltaSaved: {
    type: 'counter',
    name: 'refstream_delta_saved_bytes_total',
    fromZero: true,
    help: 'Body bytes saved because only the differences from an earlier answer were sent, compared with the plain answer.',
    labels: { kind: refsKind },
  },
  requestsUnderWay: {
    type: 'gauge',
    name: 'refstream_requests_under_way',
    help: 'Admitted requests in progress.',
    details:
      'Together with `refstream_requests_waiting` at most four times `--max-requests`: POSTs of recently admitted clients have three times as many places of their own. Requests that wait for Git, or for their client to read, are included.',
  },
  requestsWaiting: {
    type: 'gauge',
    name: 'refstream_requests_waiting',
    help: 'Requests queued for admission because the event loop is saturated.',
  },
  requestsPipelined: {
    type: 'gauge',
    name: 'refstream_requests_pipelined',
    help: 'Requests that wait for an earlier one on their connection.',
  },
  requestBodyBytes: {
    type: 'gauge',
    name: 'refstream_request_body_bytes',
    help: 'Memory for request bodies, in bytes; bounded by max-body-memory-bytes.',
    details:
      'Bodies that were read before their request was processed, and ls-refs commands that are being answered.',
  },
  admissionWaitSeconds: {
    type: 'histogram',
    name: 'refstream_admission_wait_seconds',
    help: 'Time that requests were queued because the event loop was saturated, in seconds; only queued requests are counted.',
  },
  requestsShed: {
    type: 'counter',
    name: 'refstream_requests_shed_total',
    fromZero: true,
    help: 'Requests shed by admission control, before they did any work.',
    details: 'Requests that found no Git process in time are in `refstream_processes_shed_total`.',
    labels: {
      reason: {
        full: '`--max-requests` requests were in progress.',
        share: 'one client address had more than its share of them.',
        'queue-full': 'the admission queue was full (`--queue-max`).',
        wait: 'the request was queued for longer than `--queue-wait-seconds`.',
      },
    },
  },
  rateLimited: {
    type: 'counter',
    name: 'refstream_rate_limited_total',
    fromZero: true,
    help: 'Requests refused because their client has sent more than client-rate-limit.',
    labels: {
      by: {
        user: 'the limit of an authenticated user was reached.',
        address:
          'the limit of an address was reached, of clients without a name or whose credentials are wrong.',
      },
    },
  },
  rateLimitClients: {
    type: 'gauge',
    name: 'refstream_rate_limit_clients',
    help: 'Clients whose requests are counted for client-rate-limit; at most 100000.',
  },
} as const satisfies Definitions

export const connectionMetrics = {
  clientsCut: {
    type: 'counter',
    name: 'refstream_clients_cut_total',
    fromZero: true,
    help: 'Connections, HTTP/2 streams and gRPC calls ended because their client was too slow, had too many requests waiting, or cancelled too many.',
    labels: {
      reason: {
        idle: 'the client read nothing for `--client-idle-seconds`.',
        slow: 'the client read less than `--client-min-rate`.',
        silent: 'the client sent nothing of a started request for `--request-idle-seconds`.',
        trickling: 'the client sent less of a request’s body than `--request-min-rate`.',
        pipelining: 'too many requests waited for earlier ones on their connections.',
        cancelling:
          'the client cancelled too many requests of an HTTP/2 connection before they were answered.',
      },
    },
  },
  incomingCut: {
    type: 'counter',
    name: 'refstream_grpc_requests_cut_total',
    fromZero: true,
    help: 'gRPC calls ended before their request had arrived completely.',
    labels: {
      reason: {
        silent: 'nothing of the request arrived for `--request-idle-seconds`.',
        memory:
          'all incomplete requests together took more than their memory limit; of the client address with the most bytes, the call that had been silent longest was ended.',
      },
    },
  },
  passThroughCut: {
    type: 'counter',
    name: 'refstream_pass_through_cut_total',
    help: 'Pushes, fetches that are not shared and other pass-through requests ended because no byte moved to or from their Git process for pass-through-silence-seconds.',
  },
} as const satisfies Definitions
