import t from 'tap'
import { problemOf } from '../../src/admin/problem-of.js'
import { TooManyLeases } from '../../src/freshness/leases/leases.js'
import { FilesystemUnanswered } from '../../src/git/filesystem/filesystem-unanswered.js'
import { RepositoryNotFound, UnknownLease } from '../../src/origin/faults/errors.js'

t.test('errors that a caller can act on are problems, and others are not', (t) => {
  const statusOf = (error: unknown): number | undefined => problemOf(error)?.status
  t.equal(statusOf(new RepositoryNotFound('a.git')), 404)
  t.match(problemOf(new RepositoryNotFound('a.git'))?.message, 'no repository "a.git" below the root')
  t.equal(statusOf(new UnknownLease()), 404)
  t.equal(statusOf(new TooManyLeases('1000 leases are open')), 429)
  t.equal(statusOf(new FilesystemUnanswered(['/mnt'], 5)), 503)
  t.equal(statusOf(new Error('a bug')), undefined)
  t.equal(statusOf('not an error'), undefined)
  t.end()
})
