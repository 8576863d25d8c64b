import type { GitOverrides } from '../git-overrides.js'
import type { Origin, RefsAsked } from '../origin.js'
import type { PackClient, PassedReason } from '../pack-answer.js'
import type { PackService } from '../packs/pack-service.js'
import type { PassThroughAdmission, PassThroughRequest } from '../pass-through.js'
import type { Target } from '../target.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { ProtocolVersion } from '../../git/protocol/version.js'
import type { DiskRefs } from './disk-refs.js'
import type { GitBackend } from './backend/git-backend.js'

export interface DiskOriginOptions {
  readonly refs: DiskRefs
  readonly packs: PackService
  readonly backend: GitBackend
}

/** Repositories below a root directory here. Returns promises of its parts as they are: a hit costs no other one. */
export class DiskOrigin implements Origin {
  readonly #refs: DiskRefs
  readonly #packs: PackService
  readonly #backend: GitBackend

  constructor({ refs, packs, backend }: DiskOriginOptions) {
    this.#refs = refs
    this.#packs = packs
    this.#backend = backend
  }

  advertise(
    target: Target,
    version: ProtocolVersion,
    followedByPost?: boolean,
  ): ReturnType<Origin['advertise']> {
    return this.#refs.advertise(target, version, followedByPost)
  }

  advertiseUncached(
    target: Target,
    version: ProtocolVersion,
    overrides: GitOverrides,
    signal: AbortSignal,
  ): ReturnType<Origin['advertiseUncached']> {
    return this.#refs.advertiseUncached(target, version, overrides, signal)
  }

  listRefs(target: Target, asked?: RefsAsked): ReturnType<Origin['listRefs']> {
    return this.#refs.listRefs(target, asked)
  }

  fetch(target: Target, asked: FetchRequest, client: PackClient): ReturnType<Origin['fetch']> {
    return this.#packs.fetch(target, asked, client)
  }

  passed(reason: PassedReason): void {
    this.#packs.passed(reason)
  }

  passThrough(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): ReturnType<Origin['passThrough']> {
    return this.#backend.passThrough(target, request, admission)
  }

  mutate(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): ReturnType<Origin['mutate']> {
    return this.#backend.mutate(target, request, admission)
  }
}
