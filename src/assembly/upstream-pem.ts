import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'

/** What TLS connections to upstreams use, in PEM; undefined: not given. */
export interface UpstreamPem {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** Reads the files for TLS with upstreams. @throws ConfigError if they cannot be used */
export function readUpstreamPem({
  upstreamCa,
  upstreamClientCert,
  upstreamClientKey,
}: Pick<Settings, 'upstreamCa' | 'upstreamClientCert' | 'upstreamClientKey'>): UpstreamPem {
  const ca = read('upstream-ca', upstreamCa)
  const cert = read('upstream-client-cert', upstreamClientCert)
  const key = read('upstream-client-key', upstreamClientKey)
  check('upstream-ca', { ca })
  check('upstream-client-cert and --upstream-client-key', { cert, key })
  return { ca, cert, key }
}

function read(option: string, path: string | undefined): string | undefined {
  try {
    return path === undefined ? undefined : readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`--${option}: ${(error as Error).message}`, { cause: error })
  }
}

function check(option: string, pem: Partial<UpstreamPem>): void {
  try {
    createSecureContext(pem)
  } catch (error) {
    throw new ConfigError(`--${option}: not usable PEM: ${(error as Error).message}`, { cause: error })
  }
}
