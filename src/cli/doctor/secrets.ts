import { statSync } from 'node:fs'
import type { Settings } from '../../config/options/options.js'
import { warning, type Finding } from './finding.js'

/** Settings whose files hold secrets: keys, tokens, passwords, or their hashes. */
const secretSettings = {
  'tls-key': 'tlsKey',
  'peer-tls-key': 'peerTlsKey',
  'fleet-tls-key': 'fleetTlsKey',
  'upstream-client-key': 'upstreamClientKey',
  'upstream-credential-file': 'upstreamCredentialFile',
  'auth-tokens': 'authTokens',
  'auth-htpasswd': 'authHtpasswd',
  'admin-token-file': 'adminTokenFile',
  'webhook-secret-file': 'webhookSecretFile',
} as const satisfies Record<string, keyof Settings>

/** Bits of a file's mode by which users other than its owner and group may read or write it. */
const othersMay = 0o006

/**
 * Warns of files with secrets that every user of this machine may read or write; in a container there may be no other user.
 * The fleet's secret is checked with the fleet.
 */
export function checkSecrets(settings: Settings): Finding[] {
  return Object.entries(secretSettings).flatMap(([name, key]) => {
    const path = settings[key]
    if (path === undefined) return []
    const bits = (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & othersMay
    if (bits === 0) return []
    const may = bits === 0o004 ? 'read' : 'write'
    return [warning(`secret: every user of this machine can ${may} ${path} of --${name}: chmod o= ${path}`)]
  })
}
