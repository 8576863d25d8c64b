import { isRepositoryPath } from '../../git/state/repository-path.js'
import { RepositoryNotFound } from '../faults/errors.js'
import type { LeaseSubjects } from '../lease-subjects.js'
import type { ClientCredentials, Target } from '../target.js'
import { encodePath, subjectOf } from './repository-address.js'
import type { Upstream, UpstreamRepository } from './upstream.js'

/** An upstream, and the repositories that it has. */
export interface UpstreamRule {
  readonly matches: (path: string) => boolean
  readonly upstream: Upstream
}

export interface UpstreamsOptions {
  /** The first that matches has the repository. */
  readonly rules: readonly UpstreamRule[]
  /** Returns how old answers for a repository may be, in milliseconds. */
  readonly maxAgeMsOf: (path: string) => number
  /** Returns a name for who has these credentials, which does not tell them. */
  readonly viewOf: (credentials: ClientCredentials) => string
}

/** The view of all clients where refstream's own credentials are sent, or all see the same. */
const sharedView = 'shared'

/** The upstreams, by the paths of their repositories. */
export class Upstreams {
  readonly #options: UpstreamsOptions

  constructor(options: UpstreamsOptions) {
    this.#options = options
  }

  /** Is there an upstream for a path? */
  has(path: string): boolean {
    return this.#upstreamOf(path) !== undefined
  }

  /** Returns the repository that a target names, whether it exists or not. @throws RepositoryNotFound if no upstream has it */
  find({ path, credentials = {} }: Target): UpstreamRepository {
    const upstream = this.#upstreamOf(path)
    if (!upstream) throw new RepositoryNotFound(path)
    const client = upstream.service ? sharedView : this.#options.viewOf(credentials)
    return {
      upstream,
      name: path,
      path: path === '' ? '' : `/${encodePath(path)}`,
      subject: subjectOf(upstream.url, path),
      credentials: upstream.service ? {} : credentials,
      view: upstream.isShared ? sharedView : client,
      client,
      maxAgeMs: this.#options.maxAgeMsOf(path),
    }
  }

  /** What leases and invalidations name. Whether a repository exists, only its upstream knows. */
  get subjects(): LeaseSubjects {
    return {
      find: (name) => {
        const upstream = name === '' || isRepositoryPath(name) ? this.#upstreamOf(name) : undefined
        return upstream && subjectOf(upstream.url, name)
      },
      nameOf: (subject) => {
        const urls = this.#options.rules.map(({ upstream }) => `${upstream.url}/`)
        // One URL may be the beginning of another.
        const [url = ''] = urls.filter((each) => subject.startsWith(each)).sort((a, b) => b.length - a.length)
        return subject.slice(url.length)
      },
    }
  }

  #upstreamOf(path: string): Upstream | undefined {
    return this.#options.rules.find(({ matches }) => matches(path))?.upstream
  }
}
