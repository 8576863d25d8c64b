import t from 'tap'
import { status, type ServiceError } from '@grpc/grpc-js'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../../src/access/errors.js'
import { TooManyLeases } from '../../src/freshness/leases/leases.js'
import { GitError } from '../../src/git/process/git-error.js'
import { toRpcFailure, RpcError } from '../../src/grpc/status.js'
import { Overloaded } from '../../src/limits/overloaded.js'
import { RateLimited } from '../../src/limits/rate-limited.js'
import {
  BackingOff,
  InvalidGitOverrides,
  RepositoryNotFound,
  ServiceDisabled,
  UnknownLease,
} from '../../src/origin/faults/errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../src/origin/faults/upstream-errors.js'
import { FillError } from '../../src/streamcache/index.js'
import { retrySeconds } from '../support/grpc-client.js'

t.test('each error has its status, and counts as one outcome', async (t) => {
  const overloaded = new Overloaded('wait', 7)
  const backingOff = new BackingOff(1500, new Error('x'))
  const of = (cause: Error) => new FillError('producer', 'x', { cause })
  for (const [error, code, outcome, retry] of [
    [overloaded, 'RESOURCE_EXHAUSTED', 'shed', 7],
    [of(overloaded), 'RESOURCE_EXHAUSTED', 'shed', 7],
    [new RateLimited('user', 5, 1500), 'RESOURCE_EXHAUSTED', 'rate_limited', 1.5],
    [backingOff, 'UNAVAILABLE', 'error', 1.5],
    [of(backingOff), 'UNAVAILABLE', 'error', 1.5],
    [of(new GitError('x')), 'UNAVAILABLE', 'error'],
    [new FillError('timeout', 'x'), 'UNAVAILABLE', 'error'],
    [new GitError('x'), 'UNAVAILABLE', 'error'],
    [new UpstreamRefusal(401, [], Buffer.from('secret')), 'UNAUTHENTICATED', 'unauthenticated'],
    [of(new UpstreamRefusal(403, [], Buffer.from('secret'))), 'PERMISSION_DENIED', 'forbidden'],
    [new UpstreamRefusal(404, [], Buffer.from('secret')), 'NOT_FOUND', 'not_found'],
    [new UpstreamRefusal(410, [], Buffer.from('secret')), 'FAILED_PRECONDITION', 'rejected'],
    [of(new UpstreamUnavailable('x', { retryAfterMs: 2000 })), 'UNAVAILABLE', 'error', 2],
    [new RepositoryNotFound('r'), 'NOT_FOUND', 'not_found'],
    [new ServiceDisabled('x'), 'PERMISSION_DENIED', 'forbidden'],
    [new InvalidGitOverrides('x'), 'INVALID_ARGUMENT', 'rejected'],
    [new TooManyLeases('x'), 'RESOURCE_EXHAUSTED', 'shed'],
    [new RpcError('invalid', 'x'), 'INVALID_ARGUMENT', 'rejected'],
    [new UnknownLease(), 'NOT_FOUND', 'not_found'],
    [new RpcError('unauthenticated', 'x'), 'UNAUTHENTICATED', 'unauthenticated'],
    [new Unauthenticated([]), 'UNAUTHENTICATED', 'unauthenticated'],
    [new Forbidden(), 'PERMISSION_DENIED', 'forbidden'],
    [new AuthorizerUnavailable('secret'), 'UNAVAILABLE', 'error', 1],
    [new RpcError('denied', 'x'), 'PERMISSION_DENIED', 'forbidden'],
    [new RpcError('closing', 'x'), 'UNAVAILABLE', 'error'],
    [new TypeError('x'), 'INTERNAL', 'error'],
  ] as const) {
    const explained = toRpcFailure(error)
    t.equal(status[explained.status.code], code, `${error.name}: ${code}`)
    t.equal(explained.report.outcome, outcome)
    t.notMatch(explained.status.details, /secret/)
    t.equal(retrySeconds(explained.status as unknown as ServiceError), retry)
  }
})

t.test('a status says nothing about this host', async (t) => {
  t.notMatch(toRpcFailure(new TypeError('/srv/git')).status.details, '/srv')
  t.notMatch(toRpcFailure(new GitError('/srv/git')).status.details, '/srv')
})
