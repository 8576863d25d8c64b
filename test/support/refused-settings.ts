type Flags = Readonly<Record<string, string | boolean>>

const tls = { tlsCert: '/c', tlsKey: '/k' }

/** Settings that config/cross-checks.ts refuses, by their keys, and what the error names. */
export const contradictions: readonly (readonly [flags: Flags, message: RegExp])[] = [
  [{ listen: '0.0.0.0:0' }, /--listen: .*--insecure-no-auth/],
  [{ listen: '[::]:0' }, /--listen: .*--insecure-no-auth/],
  [{ listen: 'git.example:0' }, /--listen: .*--insecure-no-auth/],
  [{ listen: 'tls:0.0.0.0:0', ...tls }, /--listen: .*--insecure-no-auth/],
  [{ listen: '0.0.0.0:0', ...tls, tlsClientCa: '/ca' }, /--listen: .*--insecure-no-auth/],
  [{ proxyProtocol: 'true' }, /--proxy-protocol needs --trusted-proxies/],
  [{ listenMode: '0600' }, /--listen-mode is for --listen unix:/],
  [{ access: '**=read:*', accessFile: '/r' }, /--access and --access-file cannot be combined/],
  [{ listen: '0.0.0.0:0', remoteUserHeader: 'X' }, /--listen: .*--insecure-no-auth/],
  [{ listen: 'tls:127.0.0.1:0' }, /--listen: .*--tls-cert/],
  [{ admin: 'tls:127.0.0.1:0', tlsCert: '/c' }, /--admin: .*--tls-cert/],
  [{ grpc: '0.0.0.0:0' }, /--grpc: .*--insecure-no-auth/],
  [{ grpc: 'tls:0.0.0.0:0', ...tls }, /--grpc: .*--insecure-no-auth/],
  [{ grpc: '0.0.0.0:0', adminTokenFile: '/t' }, /--grpc: .*--insecure-no-auth/],
  [{ grpc: '0.0.0.0:0', remoteUserHeader: 'X' }, /--grpc: .*--insecure-no-auth/],
  [{ grpc: 'tls:127.0.0.1:0', tlsKey: '/k' }, /--grpc: .*--tls-cert/],
  [{ admin: '0.0.0.0:0' }, /--admin: .*--admin-token-file/],
  [{ admin: '127.0.0.1:0,git.example:0', insecureNoAuth: true }, /--admin: .*--admin-token-file/],
  [{ ...tls, tlsClientNames: '/n' }, /--tls-client-names needs --tls-client-ca/],
  [{ tlsClientCa: '/ca' }, /--tls-client-ca .*--tls-cert/],
  [{ authUrl: 'http://127.0.0.1/', authTokens: '/t' }, /--auth-url cannot be combined/],
  [{ authHtpasswd: '/h', remoteUserHeader: 'X' }, /--remote-user-header cannot be combined/],
  [{ listen: '127.0.0.1:81', admin: '127.0.0.1:81' }, /--admin: .*81 is taken by --listen/],
  [{ listen: '127.0.0.1:81', grpc: '0.0.0.0:81', insecureNoAuth: true }, /--grpc: .*81 is taken by --listen/],
  [{ upstreamView: 'shared' }, /--upstream-view: give --upstream too/],
  [
    { upstream: 'https://git.example', authTokens: '/t' },
    /--auth-tokens: .*give --upstream-credentials service/,
  ],
  [{ clientRateBurst: '5' }, /--client-rate-burst needs --client-rate-limit/],
  [{ admin: 'unix:/s,unix:/s' }, /--admin: unix:\/s is taken by --admin/],
]
