import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { checkPem, readText } from '../../config/text-file.js'

/** Certificates in PEM by which nodes know each other. */
export interface PeerCertificates {
  readonly cert: string
  readonly key: string
  readonly ca: string | undefined
}

export interface FleetFiles {
  readonly secret: string | undefined
  readonly tls: PeerCertificates | undefined
}

/** What connections to the engine use, in PEM. */
export interface EngineCertificates {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

const secretMin = 16

/** Reads the secret, and the certificates by which nodes know each other. @throws ConfigError */
export const readFleetFiles = (settings: Settings): FleetFiles => ({
  secret: readSecret(settings.fleetSecretFile),
  tls: readPeerCertificates(settings),
})

function readSecret(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  const secret = readText('fleet-secret-file', path).trim()
  if (secret.length >= secretMin) return secret
  throw new ConfigError(
    `--fleet-secret-file: ${path} has ${secret.length} characters; ${secretMin} are needed at least, for example those of ` +
      '`head -c 32 /dev/urandom | base64`',
  )
}

/** @throws ConfigError */
export function readPeerCertificates({
  peerTlsCert,
  peerTlsKey,
  peerTlsCa,
}: Settings): PeerCertificates | undefined {
  if (peerTlsCert === undefined || peerTlsKey === undefined) return undefined
  const pem = {
    cert: readText('peer-tls-cert', peerTlsCert),
    key: readText('peer-tls-key', peerTlsKey),
    ca: peerTlsCa === undefined ? undefined : readText('peer-tls-ca', peerTlsCa),
  }
  checkPem('--peer-tls-cert, --peer-tls-key, --peer-tls-ca', pem)
  return pem
}

/** Reads the files for TLS with the engine. @throws ConfigError */
export function readEngineCertificates({
  fleetTlsCa,
  fleetTlsCert,
  fleetTlsKey,
}: Settings): EngineCertificates {
  const pem = {
    ...(fleetTlsCa !== undefined && { ca: Buffer.from(readText('fleet-tls-ca', fleetTlsCa)) }),
    ...(fleetTlsCert !== undefined && { cert: Buffer.from(readText('fleet-tls-cert', fleetTlsCert)) }),
    ...(fleetTlsKey !== undefined && { key: Buffer.from(readText('fleet-tls-key', fleetTlsKey)) }),
  }
  checkPem('--fleet-tls-ca, --fleet-tls-cert, --fleet-tls-key', pem)
  return pem
}
