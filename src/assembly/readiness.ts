import type { Disks } from '../origin/disk/observation/disks.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import type { Limits } from './limits/limits.js'

export interface ReadinessOptions {
  /** undefined: there is none that would have to be there. */
  readonly root: Pick<RepositoriesRoot, 'path'> | undefined
  readonly disks: Pick<Disks, 'root'>
  readonly limits: Pick<Limits, 'shedding'>
}

/** Whether load balancers should send requests here; what /readyz and gRPC's health service report. */
export class Readiness {
  readonly #options: ReadinessOptions
  #draining = false
  #rootFault: string | undefined
  #isChecking = false

  constructor(options: ReadinessOptions) {
    this.#options = options
  }

  /** Reports from now on that this process is shutting down. */
  drain(): void {
    this.#draining = true
  }

  /** Should requests be sent? Returns at once: where the root's filesystem may hang, as of the last check that has ended. */
  get isReady(): boolean {
    const { limits } = this.#options
    if (this.#draining || limits.shedding()) return false
    if (!this.#isChecking) this.#checkRoot()
    return this.#rootFault === undefined
  }

  #checkRoot(): void {
    const found = this.reason()
    if (!(found instanceof Promise)) {
      this.#rootFault = found
      return
    }
    this.#isChecking = true
    void found.then((fault) => {
      this.#rootFault = fault
      this.#isChecking = false
    })
  }

  /** Returns why no requests should be sent; undefined: they should. At once, unless the root's filesystem may hang. */
  reason(): string | undefined | Promise<string | undefined> {
    if (this.#draining) return 'shutting down'
    const { limits, disks, root } = this.#options
    if (limits.shedding()) return 'overloaded: requests are shed'
    if (!root) return undefined
    const real = disks.root()
    if (!(real instanceof Promise)) return rootFault(root, real)
    return real.then(
      (path) => rootFault(root, path),
      () => `the filesystem of ${root.path} does not answer`,
    )
  }
}

function rootFault({ path }: Pick<RepositoriesRoot, 'path'>, real: string | undefined): string | undefined {
  if (real !== undefined) return undefined
  return `${path} is not a directory, or permission to enter it is missing`
}
