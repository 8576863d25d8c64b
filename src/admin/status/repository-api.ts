import { z } from 'zod'
import { repositoryPathMax } from '../../git/state/repository-path.js'
import { RepositoryNotFound } from '../../origin/faults/errors.js'
import type { CacheInspector } from '../../service/cache-inspector.js'
import { Problem, type Endpoint } from '../endpoint.js'
import { problemOf } from '../problem-of.js'

export interface RepositoryApiOptions {
  /** undefined: there is no root. */
  readonly inspector: Pick<CacheInspector, 'stat'> | undefined
  /** Returns the upstream of a path, and how old its answers may be in milliseconds; undefined: none has it. */
  readonly upstreamOf: (path: string) => { readonly name: string; readonly maxAgeMs: number } | undefined
}

const diskSchema = z.object({
  repository: z.string(),
  exported: z.boolean(),
  mode: z.enum(['observe', 'lease']),
  reason: z.enum(['configured', 'local', 'network', 'directories']),
  detail: z.string().optional(),
  observedAt: z.iso.datetime(),
  settled: z.boolean(),
  leasesOpen: z.number(),
  entries: z.array(z.object({ kind: z.string(), bytes: z.number() })),
  prospects: z.array(z.object({ kind: z.string(), prospect: z.string() })).meta({
    description:
      'How the next request for each kind would be answered. hit: by the entry; join, gather: by a fill that runs, or the next one; all others by a fill, because: unsettled, nothing-kept, changed, outdated.',
  }),
  packs: z.number(),
  packBytes: z.number(),
})

const schema = z.object({
  path: z.string(),
  disk: diskSchema.optional(),
  upstream: z.object({ name: z.string(), maxAgeSeconds: z.number() }).optional(),
})

/** Returns the operation that explains what is known of one repository. With workers, it is what one of them knows. */
export function repositoryEndpoints({ inspector, upstreamOf }: RepositoryApiOptions): Endpoint[] {
  return [
    {
      method: 'GET',
      path: '/v1/repositories/{path}',
      summary:
        'Look at a repository now: its mode, its state, what is kept of it, and how the next request would be answered. The path is percent-encoded, slashes included.',
      answers: {
        200: { description: 'What is known of it.', schema },
        400: { description: 'The path is not percent-encoded, or too long.' },
        404: { description: 'There is no such repository below the root, and no upstream for it.' },
        503: { description: 'The filesystem of the repository does not answer.' },
      },
      handle: async ({ params }) => {
        const path = decoded(params['path'] ?? '')
        const upstream = upstreamOf(path)
        const disk = await onDisk(inspector, path, upstream !== undefined)
        const shown = upstream && { name: upstream.name, maxAgeSeconds: upstream.maxAgeMs / 1000 }
        if (!disk && !shown) throw new Problem(404, `there is no repository ${JSON.stringify(path)}`)
        return { status: 200, body: { path, ...(disk && { disk }), ...(shown && { upstream: shown }) } }
      },
    },
  ]
}

/** @throws Problem */
function decoded(segment: string): string {
  let path: string
  try {
    path = decodeURIComponent(segment)
  } catch {
    throw new Problem(400, 'the path is not percent-encoded UTF-8')
  }
  if (path.length > repositoryPathMax) throw new Problem(400, 'the path is too long')
  return path.replace(/^\/+|\/+$/g, '').replace(/^\.$/, '')
}

/** @throws Problem */
async function onDisk(
  inspector: RepositoryApiOptions['inspector'],
  path: string,
  mayBeElsewhere: boolean,
): Promise<z.infer<typeof diskSchema> | undefined> {
  if (!inspector) return undefined
  const observedAt = new Date().toISOString()
  try {
    const { decision, ...stat } = await inspector.stat(path)
    const { mode, reason, detail } = decision
    return {
      ...stat,
      ...{ mode, reason, ...(detail !== undefined && { detail }), observedAt },
      entries: [...stat.entries],
      prospects: [...stat.prospects],
    }
  } catch (error) {
    if (mayBeElsewhere && error instanceof RepositoryNotFound) return undefined
    throw problemOf(error) ?? error
  }
}
