import type { Settings } from '../../config/options/options.js'
import { readText } from '../../config/text-file.js'
import {
  expiryConsequences,
  expiryIn,
  expiryNoticeMs,
  type CertificateSetting,
} from '../../server/certificate-expiry.js'
import { fine, warning, wrong, type Finding } from './finding.js'

/** Checks when the certificates expire that these settings name, as `serve` reads them. */
export function checkCertificates(settings: Settings, now = Date.now()): Finding[] {
  return Object.entries(certificateFiles(settings)).flatMap(([name, path]) => {
    const setting = name as CertificateSetting
    if (path === undefined) return []
    const expiresMs = expiryIn(setting, readText(setting, path))
    if (expiresMs === undefined) return []
    const what = `certificate: ${path} of --${setting}`
    const then = `${expiryConsequences[setting]}; renew it`
    const effect =
      setting.startsWith('tls-') || setting.startsWith('peer-') ? '' : ', and start refstream again'
    return [judgeExpiry(what, expiresMs, `${then}${effect}`, now)]
  })
}

/** Files whose certificates count; those of features that are off do not. */
const certificateFiles = (settings: Settings): Record<CertificateSetting, string | undefined> => {
  const { fleet, upstream } = settings
  return {
    'tls-cert': settings.tlsCert,
    'tls-client-ca': settings.tlsClientCa,
    'peer-tls-cert': fleet && settings.peerTlsCert,
    'peer-tls-ca': fleet && settings.peerTlsCa,
    'fleet-tls-cert': fleet && settings.fleetTlsCert,
    'upstream-client-cert': upstream && settings.upstreamClientCert,
  }
}

/**
 * Returns the finding about a certificate.
 * @param what names it
 * @param then what happens from the expiry on, and what to do
 */
export function judgeExpiry(what: string, expiresMs: number, then: string, now = Date.now()): Finding {
  const leftMs = expiresMs - now
  const date = new Date(expiresMs).toISOString().replace(/T.*/, '')
  if (leftMs <= 0) return wrong(`${what} has expired on ${date}: ${then}`)
  const days = Math.floor(leftMs / 86_400_000)
  if (leftMs < expiryNoticeMs)
    return warning(
      `${what} expires on ${date}, in ${days === 1 ? '1 day' : `${days} days`}: from then on, ${then}`,
    )
  return fine(`${what}: valid until ${date}`)
}
