import * as z from 'zod'
import { BadGlob } from '../../config/values/glob.js'
import { repositoryMatcher } from '../../config/values/repository-glob.js'
import type { Cursors, StatusSource } from '../../status/source.js'
import { Problem, type Endpoint } from '../endpoint.js'

const request = z.object({
  at: z.number().meta({ description: 'When it ended, in milliseconds of the epoch.' }),
  id: z.string().meta({ description: 'As in the log.' }),
  transport: z.string(),
  method: z.string(),
  kind: z.string(),
  version: z.number(),
  repository: z.string().optional(),
  outcome: z.string(),
  status: z.number().optional(),
  sentBytes: z.number(),
  ms: z.number(),
  waitedMs: z.number(),
  firstByteMs: z.number().optional(),
  user: z.string().optional(),
  client: z.string().optional(),
  scheme: z.string().optional(),
})

const schema = z.object({
  requests: z.array(request),
  dropped: z.number().meta({ description: 'Requests that ended meanwhile and are not kept any more.' }),
  next: z.string().meta({ description: 'What to ask from next.' }),
})

/** Returns the operation that shows requests as they end. */
export function requestsEndpoints(source: Pick<StatusSource, 'requests'>): Endpoint[] {
  return [
    {
      method: 'GET',
      path: '/v1/requests',
      summary:
        'Follow requests as they end. The first question begins, with no requests; each further one gives those since the last, at most 1,000 of each process, if it comes within five seconds.',
      query: {
        from: 'next of the last answer',
        repository: 'only requests for repositories that match this glob, as in rules',
        outcome: 'only requests with one of these outcomes, separated by commas',
      },
      answers: {
        200: { description: 'The requests, in the order in which they ended.', schema },
        400: { description: 'A parameter is not valid.' },
      },
      handle: async ({ query }) => {
        const [from, repository, outcome] = ['from', 'repository', 'outcome'].map(
          (name) => query.get(name) ?? undefined,
        )
        checkGlob(repository)
        const { next, ...found } = await source.requests({
          from: from === undefined ? undefined : parseCursors(from),
          repository,
          outcomes: outcome?.split(','),
        })
        return { status: 200, body: { ...found, next: formatCursors(next) } }
      },
    },
  ]
}

/** Most characters of a glob: each request is compared with it. */
const globMax = 512

/** @throws Problem */
function checkGlob(glob: string | undefined): void {
  if (glob !== undefined && glob.length > globMax)
    throw new Problem(400, `repository: it has more than ${globMax} characters`)
  try {
    if (glob !== undefined) repositoryMatcher(glob)
  } catch (error) {
    if (error instanceof BadGlob) throw new Problem(400, `repository: ${error.message}`)
    throw error
  }
}

/** Writes cursors as `PROCESS:COUNT`, separated by commas. */
const formatCursors = (cursors: Cursors): string =>
  Object.entries(cursors)
    .map(([process, count]) => `${process}:${count}`)
    .join(',')

/** @throws Problem */
function parseCursors(text: string): Cursors {
  if (text === '') return {}
  if (!/^\d{1,6}:\d{1,15}(,\d{1,6}:\d{1,15}){0,999}$/.test(text))
    throw new Problem(400, 'from: it must be next of the last answer, unchanged')
  const pairs = text.split(',').map((part): [string, number] => {
    const [process = '', count] = part.split(':')
    return [process, Number(count)]
  })
  return Object.fromEntries(pairs)
}
