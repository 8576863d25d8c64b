/**
 * The smoke set: about a minute of tests that show whether a version of Node can run refstream. They use what differs
 * between versions: HTTP and HTTP/2 servers, TLS, streams, child processes, worker threads, file handles.
 */
export const smokeSet = [
  'test/cli/node-floor.test.ts',
  'test/cli/commands/serve.test.ts',
  'test/streamcache/cache.test.ts',
  'test/streamcache/cache-memory-first.test.ts',
  'test/streamcache/disk/disk-file.test.ts',
  'test/freshness/fresh-cache.test.ts',
  'test/freshness/pack-cache.test.ts',
  'test/origin/disk/observation/disk-helpers.test.ts',
  'test/access/passwords/password-checks.test.ts',
  'test/origin/upstream/client/upstream-client.test.ts',
  'test/server/tls-material.test.ts',
  'test/server/tls-terminator.test.ts',
  'test/e2e/clients.test.ts',
  'test/e2e/compression.test.ts',
  'test/e2e/grpc-reflection.test.ts',
  'test/e2e/ls-refs.test.ts',
  'test/e2e/pack-sharing.test.ts',
  'test/e2e/shutdown.test.ts',
  'test/e2e/tls.test.ts',
]
