import { hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { changesNameOf, type LeaseStatus } from '../../freshness/leases/lease.js'
import { isWhole, packAnswer, PackRefused } from '../../git/process/pack-answer.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { PassedReason } from '../pack-answer.js'
import type { PackRun, PackSource, PackState, SharedPack } from '../packs/pack-source.js'
import { packQuestion } from '../peers/peer-question.js'
import { TagDigests } from '../packs/tag-digests.js'
import type { Target } from '../target.js'
import { UpstreamRefusal } from '../faults/upstream-errors.js'
import { UpstreamUnavailable } from './client/upstream-client.js'
import { peerQuestionOf } from './peer-question-of.js'
import { addressOf, type UpstreamRepository } from './upstream.js'
import type { UpstreamRefs } from './refs/upstream-refs.js'
import type { UpstreamRequests } from './upstream-requests.js'
import type { Upstreams } from './upstreams.js'

export interface UpstreamPacksOptions {
  readonly upstreams: Upstreams
  readonly requests: UpstreamRequests
  readonly refs: UpstreamRefs
  /** Returns what the leases tell of a repository now. */
  readonly statusOf: (subject: string) => LeaseStatus
  /** As in `MutatorLeases`; left out: the status needs none. */
  readonly refresh?: (subject: string) => Promise<void> | undefined
  /** Called when the upstream does not have what was advertised from a kept entry: what is kept must not answer any more. */
  readonly outdated: (repository: UpstreamRepository) => void
}

/** Packs of an upstream's repositories: one request to the upstream for all that ask for the same. */
export class UpstreamPacks implements PackSource {
  readonly #options: UpstreamPacksOptions
  readonly #tagDigests = new TagDigests()

  constructor(options: UpstreamPacksOptions) {
    this.#options = options
  }

  async stateOf(target: Target, asked: FetchRequest, isForPeer = false): Promise<PackState | PassedReason> {
    const { upstreams, refs, requests, statusOf } = this.#options
    // A `want-ref` means what the ref is when the upstream reads it: no name that is known before can tell that.
    if (asked.version === 2 && asked.dependsOn === 'refs') return 'unsettled'
    const repository = upstreams.find(target)
    const { subject, view } = repository
    const signal = target.client?.signal
    if (!isForPeer) await refs.verdict(repository, signal)
    await this.#options.refresh?.(subject)
    const changes = changesNameOf(statusOf(subject))
    const state = asked.dependsOn === 'objects' ? '' : await this.#refsOf(repository, asked, signal)
    // Nothing names the refs that the answer depends on.
    if (state === undefined) return 'unsettled'
    const place = [repository.upstream.url, requests.placeOf(repository), view]
    return {
      repository: subject,
      name: hash('sha256', JSON.stringify([...place, changes, state, asked.digest]), 'base64url'),
      unsettledMs: 0,
      maxAgeMs: Infinity,
      make: (run) => this.#make(repository, asked, run),
      holds: async () => {
        await this.#options.refresh?.(subject)
        return changesNameOf(statusOf(subject)) === changes
      },
      shared: () => sharedPack(repository, asked),
    }
  }

  /** Names the state of the refs that an answer depends on: the tags, or before protocol v2 all that are advertised. */
  async #refsOf(
    repository: UpstreamRepository,
    { version, dependsOn, objectFormat }: FetchRequest,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { refs } = this.#options
    if (dependsOn === 'tags' && version === 2) {
      const answer = await refs.list(repository, { objectFormat, prefixes: ['refs/tags/'] }, signal)
      return answer && this.#tagDigests.of(answer.listing)
    }
    const { entry, follower } = await refs.advertise(repository, version, signal)
    try {
      await entry.end()
      return entry.sha256
    } finally {
      follower.close()
    }
  }

  async *#make(
    repository: UpstreamRepository,
    asked: FetchRequest,
    { signal, admitted, ended, finished }: PackRun,
  ): AsyncGenerator<Buffer> {
    let chunks: Readable | undefined
    try {
      chunks = await this.#options.requests.fetch(repository, asked, { signal, admitted })
      // The upstream answers; what follows is the pack.
      yield Buffer.alloc(0)
      const ending = yield* packAnswer(chunks)
      if (!isWhole(ending, asked)) throw new UpstreamUnavailable('an upstream sent a pack that is not whole')
      ended(ending.endsInFlush && !ending.hasError)
    } catch (error) {
      // In exact mode, nothing is advertised from what is kept.
      if (repository.maxAgeMs > 0 && error instanceof PackRefused && isOutdated(error))
        this.#options.outdated(repository)
      if (!(error instanceof UpstreamRefusal)) throw error
      this.#options.refs.refused(repository)
      // Others who wait for the same pack are not refused with this client.
      if (repository.view === repository.client) throw error
      throw new UpstreamUnavailable('the upstream has refused this to the client that asked first', {
        cause: error,
      })
    } finally {
      // Also if the run was given up before it was read.
      chunks?.destroy()
      finished(undefined)
    }
  }
}

function sharedPack(repository: UpstreamRepository, asked: FetchRequest): SharedPack {
  const { subject, view } = repository
  const { identity, ask } = peerQuestionOf(repository)
  return {
    repository: subject,
    key: `upstream-pack ${asked.digest} ${view} ${addressOf(repository)}`,
    identity,
    question: (admitted) => ask(packQuestion(asked, admitted), 0),
  }
}

/** Does the upstream not have, or not show any more, an object that a client wants (upload-pack.c, "not our ref")? */
const isOutdated = ({ answer }: PackRefused): boolean =>
  /not our ref|not advertised|unadvertised|unknown (?:ref|object)|not valid|does not exist/i.test(
    answer.toString('latin1'),
  )
