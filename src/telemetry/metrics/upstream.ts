import type { Definitions } from './definition.js'

const upstream = 'host and port of the upstream, as configured.'

const requestClasses = {
  fill: 'questions about refs.',
  pack: 'fetches.',
  pass: 'what refstream does not answer itself.',
}

export const upstreamMetrics = {
  upstreamRequests: {
    type: 'counter',
    name: 'refstream_upstream_requests_total',
    help: 'Questions and requests to upstream servers, by why they were sent and how they ended.',
    details:
      'Redirects that are followed, and a replay on a new connection, belong to their request. Without `pass` and `pack`, there are never more than `refstream_upstream_client_requests_total`.',
    labels: {
      upstream,
      cause: {
        client: 'a question about refs that a client waited for.',
        refresh: 'a question ahead of the expiry of an entry, which a client had paid for.',
        pack: 'a fetch, on behalf of all clients that ask for the same.',
        pass: 'a request that refstream does not answer itself.',
      },
      result: {
        ok: 'answered.',
        unchanged: 'the upstream is a refstream, and said that what is kept is still right.',
        refused: 'refused: 401, 403, 404 or another status of 400 to 499.',
        unavailable: 'no answer, or one of 429 or 500 to 599.',
      },
    },
  },
  upstreamDeltas: {
    type: 'counter',
    name: 'refstream_upstream_delta_answers_total',
    help: 'Answers that the upstream, a refstream, has sent as their differences from what is kept.',
    labels: {
      upstream,
      result: {
        applied: 'what it made of what is kept has the digest that the upstream has named.',
        damaged:
          'it could not be applied, or its result was not right: the answer has failed, and for ten minutes that repository’s answers are asked for as a whole.',
      },
    },
  },
  upstreamDeltaSaved: {
    type: 'counter',
    name: 'refstream_upstream_delta_saved_bytes_total',
    help: 'Body bytes that the upstream did not send because it has sent differences, compared with the plain answer.',
    labels: { upstream },
  },
  upstreamClientRequests: {
    type: 'counter',
    name: 'refstream_upstream_client_requests_total',
    help: 'Questions about refs that clients asked and that an upstream has the answer to, whether it was asked or not.',
    details:
      'A request of a client is one question, or two where the upstream’s verdict on the client is a question of its own.',
    labels: { upstream },
  },
  upstreamStaleAnswers: {
    type: 'counter',
    name: 'refstream_upstream_stale_answers_total',
    help: 'Answers older than their bound, given because the upstream could not be asked; see upstream-stale-seconds.',
    labels: { upstream },
  },
  upstreamAnswerAge: {
    type: 'histogram',
    name: 'refstream_upstream_answer_age_seconds',
    help: 'Age of what is known of an upstream’s refs when a client is answered, in seconds.',
    details:
      'The age begins with the question to the upstream that made the answer, or confirmed it. Bounded by upstream-freshness, and by upstream-stale-seconds while the upstream cannot be asked.',
    labels: { upstream },
  },
  upstreamDroppedEntries: {
    type: 'counter',
    name: 'refstream_upstream_dropped_entries_total',
    help: 'Times that the upstream did not have what was advertised from a kept entry, so that the entry was dropped.',
    labels: { upstream },
  },
  upstreamReplays: {
    type: 'counter',
    name: 'refstream_upstream_replays_total',
    help: 'Requests that were sent again because the idle connection that they had was closed.',
    labels: { upstream },
  },
  upstreamWaitSeconds: {
    type: 'histogram',
    name: 'refstream_upstream_connection_wait_seconds',
    help: 'How long requests to an upstream waited for one of its connections, in seconds.',
    labels: { upstream, class: requestClasses },
  },
  upstreamShed: {
    type: 'counter',
    name: 'refstream_upstream_shed_total',
    help: 'Requests that were shed because too many waited for a connection to an upstream, or for too long.',
    labels: {
      upstream,
      class: requestClasses,
      reason: { 'queue-full': 'the queue was full.', wait: 'no connection was free in time.' },
    },
  },
  upstreamBreakerOpen: {
    type: 'gauge',
    name: 'refstream_upstream_breaker_open',
    ofWorkers: 'max',
    help: '1 while an upstream is not asked because it keeps failing, or has asked for a pause.',
    labels: { upstream },
  },
  upstreamConnections: {
    type: 'gauge',
    name: 'refstream_upstream_connections',
    help: 'Open connections to an upstream; bounded by upstream-connections for each host.',
    labels: { upstream },
  },
} as const satisfies Definitions
