import type { Definitions } from './definition.js'

/** How many days before it expires a certificate is reported. */
export const expiryNoticeDays = 14

export const accessMetrics = {
  authChecks: {
    type: 'counter',
    name: 'refstream_auth_checks_total',
    fromZero: true,
    help: 'Password checks and requests to auth-url; cached results and tokens are not counted.',
    details:
      'Equal checks at the same time share one (single flight), and their results are cached for `--auth-cache-seconds`.',
    labels: {
      by: { password: 'a bcrypt hash of `--auth-htpasswd`.', url: 'a request to `--auth-url`.' },
      result: {
        allowed: 'access was granted.',
        denied: 'access was denied.',
        failed: '`--auth-url` gave no usable answer; the requests that waited for it were denied.',
      },
    },
  },
  tlsRefused: {
    type: 'counter',
    name: 'refstream_tls_refused_total',
    fromZero: true,
    help: 'TLS connections refused.',
    labels: {
      reason: {
        handshake: 'the handshake failed: no TLS, no common version or cipher, or too slow.',
        client: 'the client has no certificate, or not one that is allowed.',
      },
    },
  },
  proxyHeadersRefused: {
    type: 'counter',
    name: 'refstream_proxy_headers_refused_total',
    fromZero: true,
    help: 'Connections of trusted proxies that were closed because their PROXY protocol header could not be used.',
    labels: {
      reason: {
        malformed: 'the bytes are not a header, or one that is too long.',
        incomplete: 'the connection ended within the header.',
        late: 'the header did not come in time: 10 s, or `--request-idle-seconds` if that is shorter.',
      },
    },
  },
  tlsExpiry: {
    type: 'gauge',
    name: 'refstream_tls_certificate_expiry_timestamp_seconds',
    ofWorkers: 'min',
    help: 'Expiry of the certificates in use, in seconds since 1970, by the setting that names their file; absent without TLS.',
    details: `The log has a line ${expiryNoticeDays} days before, and one at the expiry. Authorities by which refstream knows servers (\`--upstream-ca\`, \`--fleet-tls-ca\`) are left out: they may be the public ones, of which some expire all the time.`,
    labels: {
      setting: {
        'tls-cert': 'what clients see.',
        'tls-client-ca': 'of the authorities that sign the certificates of clients, the first to expire.',
        'peer-tls-cert': 'what other nodes of the fleet see.',
        'peer-tls-ca': 'of the authorities that sign the certificates of nodes, the first to expire.',
        'fleet-tls-cert': 'what the engine of the fleet sees; read at the start only.',
        'upstream-client-cert': 'what upstreams see; read at the start only.',
      },
    },
  },
  reloads: {
    type: 'counter',
    name: 'refstream_reloads_total',
    help: 'Reloads of certificate, token and password files.',
    labels: {
      what: '`tls`, `peer-tls`, `auth-tokens`, `auth-htpasswd`, `access`, `admin-tokens` or `upstream-credentials`.',
      result: {
        ok: 'the new content is in use.',
        failed: 'the new content is invalid, and the previous content stays in use; the log says why.',
      },
    },
  },
  adminRefused: {
    type: 'counter',
    name: 'refstream_admin_refused_total',
    fromZero: true,
    help: 'Requests to the admin address rejected before they were read completely.',
    labels: {
      reason: {
        bodies:
          'the bodies of all requests in progress need more than 64 MiB: the largest one is answered with 503 and `Retry-After`.',
        host: 'the `Host` header names a host that is not in `--admin-hosts` (protection against DNS rebinding).',
      },
    },
  },
} as const satisfies Definitions
