import type { Definitions } from './definition.js'

/** What a fill makes. */
const kind = {
  advertisement: 'the answer to `info/refs`.',
  listing: 'all refs of a repository, from which every ls-refs command is answered.',
  pack: 'the answer to a fetch.',
}

export const fillMetrics = {
  fills: {
    type: 'counter',
    name: 'refstream_fills_total',
    fromZero: true,
    help: 'Fills that ended.',
    details:
      'A fill is one run of a Git process, or of what is made of its output, whose result is shared by all requests for the same key.',
    labels: {
      kind,
      result: {
        committed: 'the entry was kept for reuse.',
        unshared: 'refs changed meanwhile: the entry answered the requests that had joined, and was dropped.',
        loser: 'another fill had already committed the same state.',
        unstored:
          'the answer was served but not stored: the cache directory failed or had no room for it, or (packs) one client alone read it.',
        failed: 'Git failed, was killed or was not started; see `refstream_fill_failures_total`.',
      },
    },
  },
  fillFailures: {
    type: 'counter',
    name: 'refstream_fill_failures_total',
    fromZero: true,
    help: 'Fills that failed or were not started, by cause.',
    labels: {
      kind,
      fault: {
        producer: 'Git failed, or its output was unusable.',
        'first-byte': 'killed: no byte within `--fill-first-byte-seconds`.',
        silence: 'killed: nothing written for `--fill-silence-seconds`.',
        timeout: 'killed: longer than `--fill-timeout-seconds`.',
        shed: 'no Git process was available in time.',
        'backing-off': 'not started: the key is in exponential back-off after earlier failures.',
        exchanged: 'another repository took the place of this one at its path while the fill was running.',
        unanswered: 'the repository’s filesystem does not answer.',
        closed: 'refstream was shutting down.',
        unavailable: 'the upstream server could not be reached, or could not answer.',
        refused:
          'Git refused a fetch with a message for its client, such as `not our ref`; or the upstream server refused a request, for example with 401.',
        elsewhere: 'it was for another node of the fleet, while a third one makes the entry.',
        peer: 'another node of the fleet that made the entry was lost in the middle.',
        unread: 'ended: the last client of a pack had been gone for `--pack-grace-seconds`.',
      },
    },
  },
  fillRetries: {
    type: 'counter',
    name: 'refstream_fill_retries_total',
    help: 'Retries of fills whose Git process had failed; bounded by fill-retries.',
  },
  fillSeconds: {
    type: 'histogram',
    name: 'refstream_fill_seconds',
    help: 'Duration of fills, from the start of Git until the output was committed or dropped, in seconds.',
    labels: { kind },
  },
  fillBytes: {
    type: 'counter',
    name: 'refstream_fill_bytes_total',
    help: 'Bytes that fills produced, without splices; see `refstream_splices_total`.',
    labels: { kind },
  },
  loserWrites: {
    type: 'counter',
    name: 'refstream_loser_writes_total',
    help: 'Fills whose result was redundant because another fill had committed the same state first; expected to be 0.',
    details: 'Alert on any increase: it means that the single flight of fills is broken.',
  },
  loserBytes: {
    type: 'counter',
    name: 'refstream_loser_bytes_total',
    help: 'Bytes of redundant fills.',
  },
  followers: {
    type: 'gauge',
    name: 'refstream_followers',
    help: 'Readers attached to entries.',
    details: 'A follower is a request that reads an entry, growing or committed, at its own pace.',
  },
} as const satisfies Definitions
