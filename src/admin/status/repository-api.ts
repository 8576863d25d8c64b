import * as z from 'zod'
import { repositoryPathMax } from '../../git/state/repository-path.js'
import { RepositoryNotFound } from '../../origin/faults/errors.js'
import type { UpstreamStat } from '../../origin/upstream/refs/kept-answers.js'
import type { CacheInspector } from '../../service/cache-inspector.js'
import { Problem, type Endpoint } from '../endpoint.js'
import { problemOf } from '../problem-of.js'

export interface RepositoryApiOptions {
  /** undefined: there is no root. */
  readonly inspector: Pick<CacheInspector, 'stat'> | undefined
  /** Returns what is known of an upstream's repository; undefined: no upstream has such a path. */
  readonly upstreamOf: (path: string) => UpstreamStat | undefined
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

const upstreamSchema = z.object({
  name: z.string(),
  maxAgeSeconds: z.number(),
  leasesOpen: z.number(),
  entries: z
    .array(
      z.object({
        kind: z.string(),
        view: z.enum(['anonymous', 'shared', 'credentials']),
        bytes: z.number(),
        ageSeconds: z.number().optional(),
        prospect: z.enum(['hit', 'exact', 'lease', 'outdated', 'unconfirmed']),
      }),
    )
    .meta({
      description:
        'Some of what is kept. prospect: hit: the next request is answered by it; all others ask the upstream, because of the exact mode, an open lease, its age, or because an earlier process has made it (unconfirmed).',
    }),
  entryCount: z.number(),
})

const schema = z.object({
  path: z.string(),
  disk: diskSchema.optional(),
  upstream: upstreamSchema.optional(),
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
        const shown = upstream && shownOf(upstream)
        if (!disk && !shown) throw new Problem(404, `there is no repository ${JSON.stringify(path)}`)
        return { status: 200, body: { path, ...(disk && { disk }), ...(shown && { upstream: shown }) } }
      },
    },
  ]
}

function shownOf({
  name,
  maxAgeMs,
  leasesOpen,
  entries,
  count,
}: UpstreamStat): z.infer<typeof upstreamSchema> {
  return {
    ...{ name, maxAgeSeconds: maxAgeMs / 1000, leasesOpen, entryCount: count },
    entries: entries.map(({ ageMs, ...entry }) => ({
      ...entry,
      ...(ageMs !== undefined && { ageSeconds: ageMs / 1000 }),
    })),
  }
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
