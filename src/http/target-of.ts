import type { Target } from '../origin/target.js'
import type { Exchange } from './exchange.js'
import type { Route } from './route.js'

/** Returns what a request asks the origin for, with its client's credentials if the origin decides by them. */
export function targetOf(
  { forwardsCredentials }: { readonly forwardsCredentials: boolean },
  client: Exchange,
  { repository: path }: Route,
  identity: string | undefined,
): Target {
  if (!forwardsCredentials) return { path, identity, client }
  const { authorization, cookie } = client.request.headers
  return { path, identity, client, credentials: { authorization, cookie } }
}
