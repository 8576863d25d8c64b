import t from 'tap'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../../src/access/errors.js'
import { TooManyLeases } from '../../src/freshness/leases/leases.js'
import { FilesystemUnanswered } from '../../src/git/filesystem/filesystem-unanswered.js'
import { GitError } from '../../src/git/process/git-error.js'
import { RepositoryExchanged } from '../../src/git/state/reopen-repository.js'
import { Overloaded } from '../../src/limits/overloaded.js'
import { RateLimited } from '../../src/limits/rate-limited.js'
import {
  BackingOff,
  InvalidGitOverrides,
  PushRefused,
  RepositoryNotFound,
  ServiceDisabled,
  UnknownLease,
} from '../../src/origin/faults/errors.js'
import { causeOf, momentaryFault, retriable } from '../../src/origin/faults/faults.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../src/origin/faults/upstream-errors.js'
import { classify } from '../../src/service/failures.js'
import { FillError } from '../../src/streamcache/index.js'

const empty = Buffer.alloc(0)
const filled = (cause: Error): FillError => new FillError('producer', '/srv/git/x', { cause })
const systemError = Object.assign(new Error('EMFILE: too many open files, /srv/git'), {
  code: 'EMFILE',
  errno: -24,
  syscall: 'open',
})

t.test('each error has one kind, outcome and log level', async (t) => {
  for (const [error, kind, outcome, logLevel] of [
    [new Overloaded('wait', 7), 'overloaded', 'shed', undefined],
    [new RateLimited('user', 5, 1500), 'rate-limited', 'rate_limited', undefined],
    [new TooManyLeases('10000 leases are open'), 'too-many-leases', 'shed', undefined],
    [new Unauthenticated(['Basic']), 'unauthenticated', 'unauthenticated', undefined],
    [new Forbidden(), 'forbidden', 'forbidden', undefined],
    [new ServiceDisabled('x'), 'service-disabled', 'forbidden', undefined],
    [new PushRefused('x'), 'forbidden', 'forbidden', undefined],
    [new UpstreamRefusal(401, [], empty), 'unauthenticated', 'unauthenticated', undefined],
    [new UpstreamRefusal(403, [], empty), 'forbidden', 'forbidden', undefined],
    [new UpstreamRefusal(404, [], empty), 'not-found', 'not_found', undefined],
    [new UpstreamRefusal(410, [], empty), 'upstream-refused', 'rejected', undefined],
    [filled(new UpstreamRefusal(404, [], empty)), 'not-found', 'not_found', undefined],
    [new UpstreamUnavailable('git.example.com: 503'), 'upstream-unavailable', 'error', 'debug'],
    [filled(new UpstreamUnavailable('x')), 'upstream-unavailable', 'error', 'debug'],
    [new RepositoryNotFound('/srv/git/r'), 'not-found', 'not_found', undefined],
    [new UnknownLease(), 'unknown-lease', 'not_found', undefined],
    [new InvalidGitOverrides('x'), 'invalid-overrides', 'rejected', undefined],
    [new AuthorizerUnavailable('http://secret/'), 'authorizer-unavailable', 'error', 'debug'],
    [new BackingOff(1500, new Error('/srv/git')), 'backing-off', 'error', 'debug'],
    [new RepositoryExchanged(), 'exchanged', 'error', 'debug'],
    [new FilesystemUnanswered(['/srv/git'], 5), 'filesystem-unanswered', 'error', 'debug'],
    [filled(new GitError('/srv/git')), 'fill-failed', 'error', 'debug'],
    [new FillError('timeout', '/srv/git'), 'fill-failed', 'error', 'debug'],
    [new GitError('/srv/git'), 'git-failed', 'error', 'error'],
    [systemError, 'system-error', 'error', 'error'],
    [new TypeError('/srv/git'), 'internal', 'error', 'error'],
    ['/srv/git', 'internal', 'error', 'error'],
  ] as const) {
    const failure = classify(error)
    t.match(failure, { kind, outcome }, kind)
    t.equal(failure.logLevel, logLevel, kind)
    t.not(failure.message, '')
    t.notMatch(failure.message, /srv|secret/, 'nothing about this host')
  }
})

t.test('a failure says when to try again, and with which credentials', async (t) => {
  for (const [error, retryAfterMs] of [
    [new Overloaded('queue-full', 7), 7000],
    [new BackingOff(1500, new Error('x')), 1500],
    [new FilesystemUnanswered([], 5), 5000],
    [new AuthorizerUnavailable('x'), 1000],
    [new RepositoryExchanged(), 1000],
    [new UpstreamUnavailable('x', { retryAfterMs: 3000 }), 3000],
    [new UpstreamUnavailable('x'), 1000],
    [systemError, 1000],
    [new GitError('x'), undefined],
    [new RepositoryNotFound('x'), undefined],
  ] as const) {
    t.equal(classify(error).retryAfterMs, retryAfterMs, error.name)
  }
  t.same(classify(new Unauthenticated(['Basic', 'Bearer'])).challenges, ['Basic', 'Bearer'])
  t.same(classify(new Forbidden(['Negotiate'])).challenges, ['Negotiate'])
})

t.test('a fill that failed because of the moment fails its requests with its cause', async (t) => {
  for (const [cause, fault] of [
    [new Overloaded('wait', 7), 'shed'],
    [new BackingOff(1, new Error('x')), 'backing-off'],
    [new RepositoryExchanged(), 'exchanged'],
    [new FilesystemUnanswered([], 5), 'unanswered'],
    [new UpstreamUnavailable('x'), 'unavailable'],
  ] as const) {
    t.equal(causeOf(filled(cause)), cause)
    t.equal(causeOf(cause), cause)
    t.equal(classify(filled(cause)).kind, classify(cause).kind)
    t.equal(momentaryFault(cause), fault)
    t.equal(retriable(cause), false, 'another try at once would fail too')
  }
  const error = filled(new GitError('x'))
  t.equal(causeOf(error), error)
  t.equal(momentaryFault(error), undefined)
})

t.test('a fill is tried again after failures of Git, and not for a repository that has gone', async (t) => {
  t.equal(retriable(new GitError('x')), true)
  t.equal(retriable(new TypeError('x')), true)
  t.equal(retriable(new RepositoryNotFound('x')), false)
})

t.test('a message quotes one line of what an upstream said, without control characters', async (t) => {
  const said = (text: string): string => classify(new UpstreamUnavailable(text)).message
  t.equal(
    said('git.example.com: answered 503: bus\u001by\r\nSet-Cookie: x'),
    'the upstream server cannot answer now (git.example.com: answered 503: busy); try again later',
  )
  t.match(said('\u{1f600}'.repeat(300)), new RegExp(`\\((?:\u{1f600}){200}\\)`, 'u'))
  t.match(said(''), /now \(\)/)
})

t.test('an upstream’s refusal is not temporary, and is not asked for again', async (t) => {
  const refusal = new UpstreamRefusal(401, [], empty)
  t.equal(causeOf(filled(refusal)), refusal)
  t.equal(momentaryFault(refusal), undefined)
  t.equal(retriable(refusal), false)
  t.equal(retriable(new UpstreamUnavailable('x')), false)
})
