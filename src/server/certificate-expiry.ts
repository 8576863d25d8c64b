import type { X509Certificate } from 'node:crypto'
import { certificatesIn } from '../access/client-certificate.js'
import { systemClock, type Clock } from '../limits/clock.js'
import type { Log } from '../telemetry/log.js'
import { accessMetrics, expiryNoticeDays } from '../telemetry/metrics/access.js'
import type { Metrics } from '../telemetry/metrics.js'

/** Settings whose files have certificates that expire. */
export type CertificateSetting = keyof typeof accessMetrics.tlsExpiry.labels.setting

export interface CertificateExpiryOptions {
  readonly metrics: Metrics
  readonly log: Log
  readonly clock?: Clock
  /** Returns the time in milliseconds since 1970. */
  readonly now?: () => number
}

/** What happens from the expiry on. */
export const expiryConsequences: Readonly<Record<CertificateSetting, string>> = {
  'tls-cert': 'clients refuse to connect',
  'tls-client-ca': 'clients whose certificates it has signed are rejected',
  'peer-tls-cert': 'other nodes of the fleet refuse this one',
  'peer-tls-ca': 'nodes of the fleet whose certificates it has signed are refused',
  'fleet-tls-cert': 'the engine of the fleet refuses this node',
  'upstream-client-cert': 'the upstream refuses connections',
}

type State = 'valid' | 'soon' | 'expired'

interface Recorded {
  readonly expiresMs: number
  state: State
}

const checkMs = 3_600_000
/** Milliseconds before the expiry from which on it is reported. */
export const expiryNoticeMs = expiryNoticeDays * 86_400_000

/** Tells when the certificates in use expire: in a metric, and in the log before that and once it has happened. */
export class CertificateExpiry {
  readonly #options: CertificateExpiryOptions
  readonly #recorded = new Map<CertificateSetting, Recorded>()
  #stop: (() => void) | undefined

  constructor(options: CertificateExpiryOptions) {
    this.#options = options
  }

  /**
   * Records what is in use from now on. Of a file of authorities, the first to expire counts; of others, the first certificate,
   * which is one's own. Content in which no certificate is found is ignored: what uses it decides whether it is good.
   */
  record(setting: CertificateSetting, pem: string): void {
    const expiresMs = expiryIn(setting, pem)
    if (expiresMs === undefined) return
    this.#options.metrics.tlsExpiry.set({ setting }, expiresMs / 1000)
    this.#recorded.set(setting, { expiresMs, state: 'valid' })
    this.#check()
  }

  /** Returns what is in use, the first to expire first. */
  list(): { readonly setting: string; readonly expiresAt: string }[] {
    return [...this.#recorded]
      .sort(([, a], [, b]) => a.expiresMs - b.expiresMs)
      .map(([setting, { expiresMs }]) => ({ setting, expiresAt: new Date(expiresMs).toISOString() }))
  }

  close(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  /** Logs what has changed, now and from time to time. */
  #check(): void {
    const { clock = systemClock, now = Date.now } = this.#options
    this.#stop?.()
    let dueMs = checkMs
    for (const [setting, recorded] of this.#recorded) {
      const leftMs = recorded.expiresMs - now()
      if (leftMs > 0) dueMs = Math.min(dueMs, leftMs)
      const state = stateOf(leftMs)
      if (state !== recorded.state) this.#report(setting, recorded.expiresMs, state)
      recorded.state = state
    }
    this.#stop = clock.after(dueMs, () => this.#check())
  }

  #report(setting: CertificateSetting, expiresMs: number, state: State): void {
    const { log } = this.#options
    const fields = { setting, expires: new Date(expiresMs).toISOString() }
    const consequence = expiryConsequences[setting]
    if (state === 'expired')
      log.error(fields, `the certificate of --${setting} has expired: ${consequence}; renew it`)
    if (state === 'soon')
      log.warn(fields, `the certificate of --${setting} expires soon; from then on, ${consequence}; renew it`)
  }
}

function stateOf(leftMs: number): State {
  if (leftMs <= 0) return 'expired'
  return leftMs < expiryNoticeMs ? 'soon' : 'valid'
}

/** Returns when the certificates of a setting expire, as `record` has it, in milliseconds since 1970; undefined: there are none. */
export function expiryIn(setting: CertificateSetting, pem: string): number | undefined {
  let certificates: readonly X509Certificate[]
  try {
    certificates = certificatesIn(pem)
  } catch {
    return undefined
  }
  const expiries = certificates.map(({ validTo }) => Date.parse(validTo))
  return setting.endsWith('-ca') ? Math.min(...expiries) : expiries[0]
}
