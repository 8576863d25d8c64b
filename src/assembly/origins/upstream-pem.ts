import type { Settings } from '../../config/options/options.js'
import { checkPem, readText } from '../../config/text-file.js'

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
  checkPem('--upstream-ca', { ca })
  checkPem('--upstream-client-cert and --upstream-client-key', { cert, key })
  return { ca, cert, key }
}

const read = (option: string, path: string | undefined): string | undefined =>
  path === undefined ? undefined : readText(option, path)
