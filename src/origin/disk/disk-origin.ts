import type { Origin } from '../origin.js'
import type { PackService } from '../packs/pack-service.js'
import type { DiskRefs } from './disk-refs.js'
import type { GitBackend } from './git-backend.js'

export interface DiskOriginOptions {
  readonly refs: DiskRefs
  readonly packs: PackService
  readonly backend: GitBackend
}

/** Repositories below a root directory here. */
export class DiskOrigin implements Origin {
  readonly #options: DiskOriginOptions

  constructor(options: DiskOriginOptions) {
    this.#options = options
  }

  readonly advertise: Origin['advertise'] = (...asked) => this.#options.refs.advertise(...asked)
  readonly advertiseUncached: Origin['advertiseUncached'] = (...asked) =>
    this.#options.refs.advertiseUncached(...asked)
  readonly listRefs: Origin['listRefs'] = (...asked) => this.#options.refs.listRefs(...asked)
  readonly fetch: Origin['fetch'] = (...asked) => this.#options.packs.fetch(...asked)
  readonly passed: Origin['passed'] = (reason) => this.#options.packs.passed(reason)
  readonly passThrough: Origin['passThrough'] = (...asked) => this.#options.backend.passThrough(...asked)
  readonly mutate: Origin['mutate'] = (...asked) => this.#options.backend.mutate(...asked)
}
