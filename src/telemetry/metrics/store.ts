import type { Definitions } from './definition.js'

export const storeMetrics = {
  storeBytes: {
    type: 'gauge',
    name: 'refstream_store_bytes',
    help: 'Bytes of committed entries on disk; bounded by cache-max-bytes.',
  },
  storeLimitBytes: {
    type: 'gauge',
    name: 'refstream_store_limit_bytes',
    help: 'Most bytes of committed entries on disk: cache-max-bytes.',
  },
  storeEntries: {
    type: 'gauge',
    name: 'refstream_store_entries',
    help: 'Committed entries on disk; bounded by cache-max-entries.',
    details: 'After a start it counts the entries that have been read so far; a log line tells when all are.',
  },
  storeFull: {
    type: 'gauge',
    name: 'refstream_store_full',
    ofWorkers: 'max',
    help: '1 while nothing is stored because the cache’s filesystem has too little free space or inodes, otherwise 0.',
    details: 'Requests are served, uncached. See `--cache-min-free-bytes` and `--cache-min-free-inodes`.',
  },
  hotBytes: {
    type: 'gauge',
    name: 'refstream_hot_bytes',
    help: 'Bytes of entries in memory; bounded by hot-max-bytes.',
  },
  listingBytes: {
    type: 'gauge',
    name: 'refstream_listing_bytes',
    help: 'Memory for the ref listings that answer ls-refs, in bytes; bounded by hot-max-bytes.',
  },
  evictions: {
    type: 'counter',
    name: 'refstream_store_evictions_total',
    fromZero: true,
    help: 'Intact committed entries evicted.',
    labels: {
      reason: {
        size: 'over `--cache-max-bytes`; the least recently used goes first.',
        entries: 'over `--cache-max-entries`; the least recently used goes first.',
        age: 'older than `--cache-max-age-seconds`.',
        superseded: 'a newer state of the same repository was committed.',
        memory:
          'a pack that was in memory only and that one client had read, when `--pack-memory-max-bytes` was reached.',
      },
    },
  },
  storeRevisedBytes: {
    type: 'counter',
    name: 'refstream_store_revised_bytes_total',
    help: 'Bytes appended to the cache directory for new versions of entries that are stored: what splices changed.',
  },
  storeRebasedBytes: {
    type: 'counter',
    name: 'refstream_store_rebased_bytes_total',
    help: 'Bytes of spliced entries that were written as a whole: the first one of a key, and when changes had added up.',
  },
  discarded: {
    type: 'counter',
    name: 'refstream_store_discarded_total',
    fromZero: true,
    help: 'Files in the cache directory that could not be used.',
    labels: {
      reason: {
        temp: 'a growing entry, or metadata without its entry, left by a crash.',
        truncated: 'the end of the file is missing.',
        corrupt:
          'a checksum does not match, metadata is missing, or the file is not of a form that refstream writes.',
        format: 'written by another version of refstream.',
      },
    },
  },
  storeErrors: {
    type: 'counter',
    name: 'refstream_store_errors_total',
    fromZero: true,
    help: 'Failed operations of the cache directory; the requests were served, uncached.',
    labels: {
      operation: {
        open: 'the directory could not be opened.',
        create: 'no file could be created.',
        write: 'bytes could not be written.',
        read: 'bytes could not be read.',
        commit: 'a file could not be synced or renamed.',
        remove: 'a file could not be removed.',
      },
    },
  },
} as const satisfies Definitions
