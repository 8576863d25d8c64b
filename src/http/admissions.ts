import type { RecentAdmissions } from '../limits/admission/recent-admissions.js'
import type { Exchange } from './exchange.js'

export interface AdmissionsOptions {
  /** Clients that were admitted lately: their POSTs are queued where others are shed. */
  readonly admissions: RecentAdmissions
}

/**
 * Remembers a client whose GET was admitted, so that its POSTs are queued where others are shed: Git fails on a 429 to a
 * POST. Behind a proxy that is not trusted, all clients count as one, so that more requests are queued than necessary.
 */
export function admit(
  { admissions }: AdmissionsOptions,
  { kind, clientAddress, repository = '' }: Exchange,
): void {
  if (kind.endsWith('advertisement')) admissions.add(clientAddress, repository)
}

/** Was the client of this POST admitted a short time ago? */
export function isAdmitted(
  { admissions }: AdmissionsOptions,
  { method, clientAddress, repository = '' }: Exchange,
): boolean {
  return method === 'POST' && admissions.has(clientAddress, repository)
}
