import type { Disks } from '../origin/disk/observation/disks.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import type { Limits } from './limits.js'

export interface ReadinessOptions {
  readonly root: Pick<RepositoriesRoot, 'path'>
  readonly disks: Pick<Disks, 'root'>
  readonly limits: Pick<Limits, 'shedding'>
}

/** Whether load balancers should send requests here; what /readyz and gRPC's health service report. */
export class Readiness {
  readonly #options: ReadinessOptions
  #draining = false

  constructor(options: ReadinessOptions) {
    this.#options = options
  }

  /** Reports from now on that this process is shutting down. */
  drain(): void {
    this.#draining = true
  }

  /** Returns why no requests should be sent; undefined: they should. At once, unless the root's filesystem may hang. */
  reason(): string | undefined | Promise<string | undefined> {
    if (this.#draining) return 'shutting down'
    const { limits, disks, root } = this.#options
    if (limits.shedding()) return 'overloaded: requests are shed'
    const real = disks.root()
    if (!(real instanceof Promise)) return this.#rootFault(real)
    return real.then(
      (path) => this.#rootFault(path),
      () => `the filesystem of ${root.path} does not answer`,
    )
  }

  #rootFault(real: string | undefined): string | undefined {
    if (real !== undefined) return undefined
    return `${this.#options.root.path} is not a directory, or permission to enter it is missing`
  }
}
