import type { Socket } from 'node:net'
import { Access, type Locate } from '../../access/access.js'
import { DecisionCache } from '../../access/decision-cache.js'
import { ExternalAuthorizer, type AuthorizerDecision } from '../../access/external-authorizer.js'
import type { PasswordDecision } from '../../access/passwords/htpasswd.js'
import { PasswordChecks } from '../../access/passwords/password-checks.js'
import { TrustedProxies } from '../../access/proxies.js'
import { Rules } from '../../access/rules.js'
import type { Tokens } from '../../access/tokens.js'
import type { Settings } from '../../config/options/options.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { CredentialFiles } from './credential-files.js'

/** Authentication and authorization, as the servers use them. */
export interface AccessControl {
  readonly access: Access
  /** Tokens of the admin API; undefined: it needs none. */
  readonly adminTokens: (() => Tokens) | undefined
  /** Returns the name that a client's certificate was accepted for; undefined: it has presented none. */
  readonly clientName: (socket: Socket) => string | undefined
  readonly proxies: TrustedProxies
  /** Has passwords checked and the authorization service asked again, also where their answers are cached. */
  forgetDecisions(): void
  close(): Promise<void>
}

/** Most decisions that are cached, and most passwords that are queued for a check. */
const decisionsMax = 100_000
const passwordQueueMax = 256
/** Least time in milliseconds between two log lines about an authorizer that fails. */
const authorizerQuietMs = 60_000

/** @param locate finds the repository that a request names */
export function openAccessControl(
  settings: Settings,
  files: CredentialFiles,
  locate: Locate,
  metrics: Metrics,
  log: Log,
  tracing?: Tracing,
): AccessControl {
  const checks = new PasswordChecks(passwordQueueMax, (isCorrect) =>
    metrics.authChecks.inc({ by: 'password', result: isCorrect ? 'allowed' : 'denied' }),
  )
  const authorizer = openAuthorizer(settings, metrics, log, tracing)
  const caching = { forMs: settings.authCacheSeconds * 1000, max: decisionsMax }
  const { passwords } = files
  const passwordDecisions =
    passwords && new DecisionCache<PasswordDecision>({ ...caching, timeIndependent: true })
  const authorizerDecisions = authorizer && new DecisionCache<AuthorizerDecision>(caching)
  files.onReloaded((what) => {
    if (what === 'auth-htpasswd') passwordDecisions?.clear()
  })
  const fixedRules = settings.access && new Rules(settings.access)
  const access = new Access({
    tokens: files.tokens,
    passwords: passwords && passwordDecisions && { file: passwords, checks, decisions: passwordDecisions },
    authorizer: authorizer && authorizerDecisions && { service: authorizer, decisions: authorizerDecisions },
    rules: fixedRules ? () => fixedRules : files.rules,
    locate,
  })
  return {
    access,
    adminTokens: files.adminTokens,
    clientName: (socket) => files.tls?.nameOf(socket),
    proxies: new TrustedProxies(settings.trustedProxies ?? [], settings.forwardedHeader),
    forgetDecisions: () => {
      passwordDecisions?.clear()
      authorizerDecisions?.clear()
    },
    close: async () => {
      authorizer?.close()
      await checks.close()
    },
  }
}

function openAuthorizer(
  settings: Settings,
  metrics: Metrics,
  log: Log,
  tracing?: Tracing,
): ExternalAuthorizer | undefined {
  const { authUrl: url, authForwardHeaders: headers, authUserHeader: userHeader } = settings
  if (url === undefined) return undefined
  return new ExternalAuthorizer({
    url,
    headers,
    userHeader,
    timeoutMs: settings.authTimeoutSeconds * 1000,
    tracing,
    answered: (result) => metrics.authChecks.inc({ by: 'url', result }),
    failed: atMostEvery(authorizerQuietMs, (reason) =>
      log.error({ url, reason }, 'auth-url unavailable; denying all requests'),
    ),
  })
}
