import * as z from 'zod'
import { repositoryPathMax } from '../git/state/repository-path.js'
import { changedRefs, changedRefsMax, MalformedRefName } from '../service/changed-refs.js'
import type { LeaseService, LeaseView } from '../service/lease-service.js'
import { Problem, type Endpoint } from './endpoint.js'
import { problemOf } from './problem-of.js'

export interface LeaseApiOptions {
  readonly leases: LeaseService
  /** Longest time limit of a lease in seconds. */
  readonly maxSeconds: number
  readonly invalidated: (source: string) => void
}

const repository = z.string().min(1).max(repositoryPathMax).meta({
  description:
    'Path of the repository relative to the root, as in its URL, or its absolute path below the root.',
})

/** Most bytes of the body that ends a lease: names of refs. */
const endingMax = 512 * 1024

const leaseSchema = z.object({
  id: z.string().meta({ description: 'Secret: holders of the id can renew and end the lease.' }),
  repository: z.string(),
  reason: z.string().optional(),
  ttlSeconds: z.number(),
  openedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
})

type LeaseJson = z.infer<typeof leaseSchema>

const toJson = ({ id, repository, reason: reason, ttlMs, openedAt, expiresAt }: LeaseView): LeaseJson => ({
  id,
  repository,
  ...(reason === undefined ? {} : { reason }),
  ttlSeconds: ttlMs / 1000,
  openedAt: openedAt.toISOString(),
  expiresAt: expiresAt.toISOString(),
})

/** Returns the operations on mutator leases. */
export function leaseEndpoints({ leases, maxSeconds, invalidated }: LeaseApiOptions): Endpoint[] {
  const ttlSeconds = z.number().positive().max(maxSeconds).meta({ description: 'Time limit in seconds.' })
  const opening = z.strictObject({ repository, ttlSeconds, reason: z.string().max(1000).optional() })
  const renewal = z.strictObject({ ttlSeconds: ttlSeconds.optional() })
  const ending = z.strictObject({
    changed: z.boolean().default(true).meta({
      description: 'false: readers could see no change at any time while the lease was open.',
    }),
    refs: z
      .array(z.string())
      .optional()
      .meta({
        description:
          'Full names of all refs that may have changed while the lease was open, such as refs/heads/main; a hint that ' +
          `makes the next answer cheaper. Left out, empty, or more than ${changedRefsMax}: any ref may have changed.`,
      }),
  })
  const invalidation = z.strictObject({ repository })
  const notFound = { 404: { description: 'There is no such lease: it has ended or expired.' } }
  const noRepository = {
    404: { description: 'There is no such repository below the root.' },
    503: { description: 'The filesystem of the repository, or the fleet, does not answer.' },
  }

  return [
    {
      method: 'POST',
      path: '/v1/leases',
      summary:
        'Open a lease: the repository may be changing. It applies to all requests that arrive after the response.',
      body: opening,
      answers: {
        201: { description: 'The lease is open.', schema: leaseSchema },
        429: { description: 'Too many leases are open.' },
        ...noRepository,
      },
      handle: async ({ body }) => {
        const { repository, ttlSeconds, reason } = body as z.infer<typeof opening>
        const lease = await explained(() => leases.open(repository, ttlSeconds * 1000, reason))
        return { status: 201, body: toJson(lease) }
      },
    },
    {
      method: 'GET',
      path: '/v1/leases',
      summary: 'List the open leases.',
      answers: {
        200: { description: 'The open leases.', schema: z.object({ leases: z.array(leaseSchema) }) },
      },
      handle: async () => ({ status: 200, body: { leases: (await leases.list()).map(toJson) } }),
    },
    {
      method: 'PUT',
      path: '/v1/leases/{id}',
      summary:
        'Renew a lease from now on. If ttlSeconds is left out, the current time limit of the lease applies.',
      body: renewal,
      bodyOptional: true,
      answers: { 200: { description: 'The lease is renewed.', schema: leaseSchema }, ...notFound },
      handle: async ({ params, body }) => {
        const { ttlSeconds } = body as z.infer<typeof renewal>
        const lease = await explained(() => leases.renew(params['id'] ?? '', ttlSeconds && ttlSeconds * 1000))
        return { status: 200, body: toJson(lease) }
      },
    },
    {
      method: 'DELETE',
      path: '/v1/leases/{id}',
      summary: 'End a lease. Requests that arrive after the response see the new state.',
      body: ending,
      bodyOptional: true,
      bodyMax: endingMax,
      answers: {
        204: { description: 'The lease has ended.' },
        400: { description: 'A name in refs cannot be that of a ref: the lease is still open.' },
        ...notFound,
      },
      handle: async ({ params, body }) => {
        const { changed, refs } = body as z.infer<typeof ending>
        const names = namesOf(refs)
        await explained(() => leases.end(params['id'] ?? '', changed, names))
        return { status: 204 }
      },
    },
    {
      method: 'POST',
      path: '/v1/invalidate',
      summary:
        'Invalidate what is cached of a repository. Requests that arrive after the response see the new state.',
      body: invalidation,
      answers: { 204: { description: 'The repository is invalidated.' }, ...noRepository },
      handle: async ({ body }) => {
        const { repository } = body as z.infer<typeof invalidation>
        await explained(() => leases.invalidate(repository))
        invalidated('api')
        return { status: 204, repository }
      },
    },
  ]
}

/** Returns names as leases keep them. @throws Problem */
function namesOf(refs: readonly string[] = []): readonly string[] | undefined {
  try {
    return changedRefs(refs)
  } catch (error) {
    throw error instanceof MalformedRefName ? new Problem(400, `refs: ${error.message}`) : error
  }
}

/** Translates errors. @throws Problem */
async function explained<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw problemOf(error) ?? error
  }
}
