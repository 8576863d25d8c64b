import * as z from 'zod'
import { faultKind, type FaultKind } from '../peers/fault-codec.js'
import { InvalidUpstreamPath, RedirectRefused } from './client/errors.js'
import { CredentialsUnavailable } from './credentials/credential-source.js'
import { UnsortedListing } from './refs/listing-order.js'
import { NotSmart } from './upstream-requests.js'

const nothing = z.object({})
const none = (): Record<string, never> => ({})
const text = z.object({ text: z.string() })
const textOf = ({ message }: Error): z.infer<typeof text> => ({ text: message })

/** Errors of upstreams by which a request ends in another way than by its failure, or its client is told why. */
export const upstreamFaults: readonly FaultKind[] = [
  faultKind(
    ['not-smart', 'the upstream did not answer in the smart protocol of Git'],
    NotSmart,
    nothing,
    none,
    () => new NotSmart(),
  ),
  faultKind(
    ['unsorted', 'the listing of the upstream has another order than that of Git'],
    UnsortedListing,
    nothing,
    none,
    () => new UnsortedListing(),
  ),
  faultKind(
    ['credentials-unavailable', 'the credential for the upstream is not known'],
    CredentialsUnavailable,
    text,
    textOf,
    (told) => new CredentialsUnavailable(told.text),
  ),
  faultKind(
    ['redirect-refused', 'the upstream redirects to where this must not go'],
    RedirectRefused,
    z.object({ status: z.number().int(), text: z.string() }),
    ({ status, message }) => ({ status, text: message }),
    (told) => new RedirectRefused(told.status, told.text),
  ),
  faultKind(
    ['invalid-path', 'an upstream can have no such repository'],
    InvalidUpstreamPath,
    text,
    textOf,
    (told) => new InvalidUpstreamPath(told.text),
  ),
]
