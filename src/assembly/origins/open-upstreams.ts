import { hasAccessRules } from '../../config/cross-checks/given.js'
import type { Settings } from '../../config/options/options.js'
import { repositoryMatcher } from '../../config/values/repository-glob.js'
import { subjectOf } from '../../origin/upstream/repository-address.js'
import type { Upstream } from '../../origin/upstream/upstream.js'
import { Upstreams, type UpstreamsOptions } from '../../origin/upstream/upstreams.js'
import type { OriginParts } from './origin-parts.js'
import { openUpstreamClient, type UpstreamMonitors } from './upstream-client.js'
import { openUpstreamCredentials, type UpstreamCredentialFile } from './upstream-credentials.js'

/** The upstreams that settings name, with their HTTP clients and credentials. */
export interface OpenUpstreams {
  readonly upstreams: Upstreams
  /** In the order of the settings. */
  readonly all: readonly Upstream[]
  /** Ends all connections. */
  readonly close: () => Promise<void>
}

/** @throws ConfigError */
export function openUpstreams(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  gitVersion: string,
  credentialFile: UpstreamCredentialFile | undefined,
  viewOf: UpstreamsOptions['viewOf'],
  parts: UpstreamMonitors & Pick<OriginParts, 'git'>,
): OpenUpstreams {
  const opened = (settings.upstream ?? []).map(({ glob, url }) => {
    const name = hostOf(url)
    const client = openUpstreamClient(settings, url, name, environment, gitVersion, parts)
    const service = openUpstreamCredentials(settings, url, credentialFile, parts)
    const isShared = settings.upstreamView === 'shared'
    const followsRenames = service === undefined && !hasAccessRules(settings)
    const upstream: Upstream = { name, url, client, service, isShared, followsRenames }
    return { matches: pathMatcher(glob ?? '**'), upstream, client }
  })
  return {
    upstreams: new Upstreams({ rules: opened, maxAgeMsOf: maxAgeOf(settings), viewOf }),
    all: opened.map(({ upstream }) => upstream),
    close: async () => {
      await Promise.all(opened.map(({ client }) => client.close()))
    },
  }
}

const hostOf = (url: string): string => {
  const { hostname, port, protocol } = new URL(url)
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`
}

/** Makes a function that returns whether a glob applies to a path, by whatever name its server may know it. */
function pathMatcher(glob: string): (path: string) => boolean {
  const matches = repositoryMatcher(glob)
  return (path) => matches({ path, refersTo: (other) => subjectOf('', other) === subjectOf('', path) })
}

/** Returns how old answers for a repository may be: the first rule that matches decides; without one, they are exact. */
function maxAgeOf({ upstreamFreshness }: Settings): (path: string) => number {
  const rules = upstreamFreshness.map((rule) => ({
    matches: pathMatcher(rule.glob),
    maxAgeMs: rule.mode === 'exact' ? 0 : rule.seconds * 1000,
  }))
  return (path) => rules.find(({ matches }) => matches(path))?.maxAgeMs ?? 0
}
