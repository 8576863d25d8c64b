import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../access/access.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { isSystemError } from '../git/filesystem/system-errors.js'
import { GitError } from '../git/process/git-error.js'
import { RepositoryExchanged } from '../git/state/reopen-repository.js'
import { Overloaded } from '../limits/overloaded.js'
import { BackingOff, RepositoryNotFound, ServiceDisabled } from '../service/errors.js'
import { FillError } from '../streamcache/index.js'
import type { Outcome } from './exchange.js'
import { HttpError, type ErrorResponse } from './responses.js'

/**
 * The answer to an error, and the outcome that it counts as.
 * @param shedStatus to requests that are shed
 */
export function explain(error: unknown, shedStatus: number): { refusal: ErrorResponse; outcome: Outcome } {
  if (error instanceof Overloaded) {
    const { message, retryAfterSeconds } = error
    const headers = ['Retry-After', String(retryAfterSeconds)]
    const text = `overloaded: ${message}; try again later`
    return { refusal: { status: shedStatus, message: text, headers }, outcome: 'shed' }
  }
  if (error instanceof BackingOff) {
    const headers = ['Retry-After', String(Math.ceil(error.retryAfterMs / 1000))]
    return { refusal: new HttpError(503, error.message, headers), outcome: 'error' }
  }
  if (error instanceof Unauthenticated) {
    const refusal = new HttpError(401, error.message, challengesOf(error))
    return { refusal, outcome: 'unauthenticated' }
  }
  if (error instanceof Forbidden) {
    return { refusal: new HttpError(403, error.message, challengesOf(error)), outcome: 'forbidden' }
  }
  if (error instanceof AuthorizerUnavailable) {
    const message = 'nobody can say now who may do this; try again later'
    return { refusal: new HttpError(503, message, ['Retry-After', '1']), outcome: 'error' }
  }
  if (error instanceof RepositoryNotFound) return { refusal: new HttpError(404), outcome: 'not_found' }
  if (error instanceof ServiceDisabled) return { refusal: new HttpError(403), outcome: 'forbidden' }
  if (error instanceof HttpError) {
    const outcome = error.status === 404 ? 'not_found' : error.status === 403 ? 'forbidden' : 'rejected'
    return { refusal: error, outcome }
  }
  if (error instanceof RepositoryExchanged) {
    const message = `${error.message}; try again`
    return { refusal: new HttpError(503, message, ['Retry-After', '1']), outcome: 'error' }
  }
  if (error instanceof FilesystemUnanswered) {
    const headers = ['Retry-After', String(error.retryAfterSeconds)]
    return { refusal: new HttpError(503, `${error.message}; try again later`, headers), outcome: 'error' }
  }
  if (error instanceof FillError || error instanceof GitError) {
    const message =
      'Git could not answer for this repository; try again, and see the log of refstream for why'
    return { refusal: new HttpError(503, message), outcome: 'error' }
  }
  if (isSystemError(error)) {
    const message = `the system cannot answer now (${error.code}); try again, and see the log of refstream`
    return { refusal: new HttpError(503, message, ['Retry-After', '1']), outcome: 'error' }
  }
  return { refusal: new HttpError(500, 'internal error; see the log of refstream'), outcome: 'error' }
}

const challengesOf = ({ challenges }: Unauthenticated | Forbidden): string[] =>
  challenges.flatMap((challenge) => ['WWW-Authenticate', challenge])
