import type { Definitions } from './definition.js'

export const packMetrics = {
  packs: {
    type: 'counter',
    name: 'refstream_packs_total',
    fromZero: true,
    help: 'Fetches (POSTs to git-upload-pack that are not ls-refs), by how they were answered.',
    details:
      'A round of a negotiation counts like the request that gets the pack. `filled` is the number of Git processes that were started for them.',
    labels: {
      result: {
        hit: 'from an entry that was kept.',
        coalesced: 'from a fill that another request had started.',
        filled: 'from a fill of its own.',
        refused: 'Git refused the request with a message for its client, such as `not our ref`.',
        passed: '`git http-backend` answered; see `refstream_packs_passed_total`.',
      },
    },
  },
  packsPassed: {
    type: 'counter',
    name: 'refstream_packs_passed_total',
    fromZero: true,
    help: 'Fetches that passed through to `git http-backend`, by why they are not shared.',
    labels: {
      reason: {
        arguments:
          'the request has arguments that are not known to be shareable: server options, packfile URIs.',
        malformed: 'the request is not a well-formed fetch; Git tells the client why.',
        raw: 'the client asked for a pack without a side-band (protocol v0).',
        size: 'the request is longer than 1 MiB, or there was no memory for it.',
        hook: 'some configuration file mentions `uploadpack.packObjectsHook`.',
        format: 'the request has another object format than the repository.',
        unsettled:
          'the answer depends on refs whose state could not be named: they were changing, or a lease was open.',
        off: '`--no-packs`.',
      },
    },
  },
  packCpuSeconds: {
    type: 'counter',
    name: 'refstream_pack_cpu_seconds_total',
    help: 'Processor time of the Git processes that made packs, in seconds.',
    details:
      'Linux only. Read when a process has ended; of two that end at the same moment, one may get the time of both.',
  },
  packCpuSparedSeconds: {
    type: 'counter',
    name: 'refstream_pack_cpu_spared_seconds_total',
    help: 'Estimate of the processor time that was spared by sharing packs, in seconds.',
    details: 'For each answer after the first, the processor time of the fill that made it.',
  },
  packStoreBytes: {
    type: 'gauge',
    name: 'refstream_pack_store_bytes',
    help: 'Bytes of the packs that are kept, on disk and in memory; bounded by pack-cache-max-bytes.',
  },
  packStoreLimitBytes: {
    type: 'gauge',
    name: 'refstream_pack_store_limit_bytes',
    help: 'Most bytes of the packs that are kept: pack-cache-max-bytes.',
  },
  packStoreEntries: {
    type: 'gauge',
    name: 'refstream_pack_store_entries',
    help: 'Packs that are kept.',
  },
  packHotBytes: {
    type: 'gauge',
    name: 'refstream_pack_hot_bytes',
    help: 'Bytes of packs in memory; bounded by pack-memory-max-bytes.',
  },
} as const satisfies Definitions
