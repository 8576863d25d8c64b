import t from 'tap'
import { Forbidden, Unauthenticated } from '../../src/access/errors.js'
import { FilesystemUnanswered } from '../../src/git/filesystem/filesystem-unanswered.js'
import { GitError } from '../../src/git/process/git-error.js'
import { RepositoryExchanged } from '../../src/git/state/reopen-repository.js'
import { HttpError } from '../../src/http/responses.js'
import { toHttpFailure } from '../../src/http/status.js'
import { Overloaded } from '../../src/limits/overloaded.js'
import { RateLimited } from '../../src/limits/rate-limited.js'
import { BackingOff, RepositoryNotFound, ServiceDisabled } from '../../src/origin/faults/errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../src/origin/faults/upstream-errors.js'
import { FillError } from '../../src/streamcache/index.js'

/** For a refstream above: the host is not out of order. */
const ofRepository = ['Refstream-Scope', 'repository']

t.test('each error has its status and headers', async (t) => {
  const overloaded = new Overloaded('wait', 7)
  for (const [error, status, headers] of [
    [new RateLimited('user', 5, 1500), 429, ['Retry-After', '2']],
    [overloaded, 429, ['Retry-After', '7']],
    [new FillError('producer', 'x', { cause: overloaded }), 429, ['Retry-After', '7']],
    [new BackingOff(1001, new Error('x')), 503, ['Retry-After', '2', ...ofRepository]],
    [new FilesystemUnanswered(['/srv'], 5), 503, ['Retry-After', '5']],
    [new RepositoryExchanged(), 503, ['Retry-After', '1', ...ofRepository]],
    [
      new UpstreamUnavailable('x', { retryAfterMs: 1500, status: 503 }),
      503,
      ['Retry-After', '2', ...ofRepository],
    ],
    [new UpstreamUnavailable('x'), 503, ['Retry-After', '1', ...ofRepository]],
    [new GitError('x'), 503, ofRepository],
    [new FillError('timeout', 'x'), 503, ofRepository],
    [
      new Unauthenticated(['Basic', 'Bearer']),
      401,
      ['WWW-Authenticate', 'Basic', 'WWW-Authenticate', 'Bearer'],
    ],
    [new Forbidden(), 403, []],
    [new TypeError('x'), 500, []],
    [new HttpError(405, 'x', ['Allow', 'POST']), 405, ['Allow', 'POST']],
  ] as const) {
    const { response } = toHttpFailure(error, 429)
    t.equal(response.status, status, error.name)
    t.same(response.headers, headers, error.name)
    t.not(response.message, '', error.name)
  }
})

t.test('the operator chooses the status of requests that are shed', async (t) => {
  t.equal(toHttpFailure(new Overloaded('full', 1), 503).response.status, 503)
})

t.test('errors that Git answers with an empty body get an empty body', async (t) => {
  t.match(toHttpFailure(new RepositoryNotFound('r'), 429).response, { status: 404, message: '', headers: [] })
  t.match(toHttpFailure(new ServiceDisabled('x'), 429).response, { status: 403, message: '', headers: [] })
})

t.test('errors of HTTP itself are counted by their status, and not logged', async (t) => {
  for (const [status, outcome] of [
    [400, 'rejected'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [405, 'rejected'],
    [414, 'rejected'],
  ] as const) {
    const { report } = toHttpFailure(new HttpError(status), 429)
    t.equal(report.outcome, outcome)
    t.equal(report.logLevel, undefined)
  }
})

t.test('an upstream’s refusal is sent as it is', async (t) => {
  const headers = [
    'WWW-Authenticate',
    'Basic realm="a"',
    'www-authenticate',
    'Bearer',
    'Content-Type',
    'text/x',
  ]
  const body = Buffer.from('no')
  for (const [status, outcome] of [
    [200, 'rejected'],
    [401, 'unauthenticated'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [451, 'rejected'],
  ] as const) {
    const refusal = new UpstreamRefusal(status, headers, body)
    for (const error of [refusal, new FillError('producer', 'x', { cause: refusal })]) {
      const { response, report } = toHttpFailure(error, 429)
      t.match(response, { status, headers, message: '' })
      t.equal(response.body, body)
      t.match(report, { outcome })
      t.equal(report.logLevel, undefined)
    }
  }
})
