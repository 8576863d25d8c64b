import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { RepositoryNotFound } from '../service/errors.js'
import type { LeaseService } from '../service/lease-service.js'
import { Problem, type BodyCheck, type Call, type Endpoint } from './endpoint.js'

export interface WebhookOptions {
  readonly leases: LeaseService
  /** undefined: nobody can sign, so all are refused. */
  readonly secret: string | undefined
  readonly invalidated: (source: string) => void
}

type Headers = Call['headers']

/** What a payload says. */
interface Told {
  /** The project's repository. */
  readonly project: string
  /** The repository of the project's wiki, if the payload tells of a wiki. */
  readonly wiki: string | undefined
}

/** A server that tells of pushes: how it proves who it is, and where it names the repository. */
interface Sender {
  readonly name: string
  readonly title: string
  /** Looks at the head of a request. @returns what looks at its body @throws Problem if the head cannot be a good one's */
  readonly admit: (headers: Headers, secret: string) => BodyCheck | undefined
  readonly payload: z.ZodType<Told | undefined>
  /** The header that names the event, and what stands there when a wiki has changed. */
  readonly wikiEvent: readonly [header: string, value: string]
}

const header = (headers: Headers, name: string): string => String(headers[name] ?? '')

const unsigned = (): Problem => new Problem(403, 'the signature does not match the secret')

/** Compares in a time that does not tell where the difference is. */
function equal(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHmac('sha256', 'refstream').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** Checks a body, while it comes, against the HMAC that a header has after a prefix. */
const signedIn =
  (name: string, prefix = ''): Sender['admit'] =>
  (headers, secret) => {
    const given = header(headers, name)
    // What cannot be a signature needs no body to be refused.
    if (!given.startsWith(prefix) || !/^[0-9a-f]{64}$/.test(given.slice(prefix.length))) throw unsigned()
    const hmac = createHmac('sha256', secret)
    return {
      take: (piece) => void hmac.update(piece),
      end: () => {
        if (!equal(given, prefix + hmac.digest('hex'))) throw unsigned()
      },
    }
  }

/** Of Gitea and GitHub: their wikis' events name the project, and the page (Gitea) or pages (GitHub) that have changed. */
const fullName = z
  .object({
    repository: z.object({ full_name: z.string() }).optional(),
    page: z.unknown().optional(),
    pages: z.unknown().optional(),
  })
  .transform(({ repository, page, pages }): Told | undefined => {
    if (!repository) return undefined
    const ofWiki = typeof page === 'string' || Array.isArray(pages)
    return { project: repository.full_name, wiki: ofWiki ? wikiOf(repository.full_name) : undefined }
  })

/** All three keep a project's wiki beside the project. */
const wikiOf = (project: string): string => `${project}.wiki`

const senders: readonly Sender[] = [
  {
    name: 'gitea',
    title: 'Gitea or Forgejo',
    admit: signedIn('x-gitea-signature'),
    payload: fullName,
    wikiEvent: ['x-gitea-event', 'wiki'],
  },
  {
    name: 'github',
    title: 'GitHub',
    admit: signedIn('x-hub-signature-256', 'sha256='),
    payload: fullName,
    wikiEvent: ['x-github-event', 'gollum'],
  },
  {
    name: 'gitlab',
    title: 'GitLab',
    // GitLab sends the secret itself. Header values arrive as Latin-1; a secret in UTF-8 gets its bytes back.
    admit: (headers, secret) => {
      const given = Buffer.from(header(headers, 'x-gitlab-token'), 'latin1').toString()
      if (!equal(given, secret)) throw unsigned()
      return undefined
    },
    payload: z
      .object({
        project: z.object({ path_with_namespace: z.string() }).optional(),
        wiki: z.object({ path_with_namespace: z.string() }).optional().catch(undefined),
      })
      .transform(({ project, wiki }): Told | undefined => {
        return project && { project: project.path_with_namespace, wiki: wiki?.path_with_namespace }
      }),
    wikiEvent: ['x-gitlab-event', 'Wiki Page Hook'],
  },
]

/** GitHub sends no more (its documentation says 25 MB); the others send less. */
const payloadMax = 25 * 1024 * 1024

/** Push webhooks: what the sender names is invalidated. Events that name no repository are taken and do nothing. */
export function webhookEndpoints({ leases, secret, invalidated }: WebhookOptions): Endpoint[] {
  return senders.map((sender) => ({
    method: 'POST',
    path: `/v1/webhooks/${sender.name}`,
    summary: `A push webhook of ${sender.title}, signed with the secret of webhook-secret-file.`,
    bodyMax: payloadMax,
    answers: {
      204: { description: 'Taken; the repository that it names, or its wiki’s, is invalidated.' },
      403: { description: 'The signature is wrong, or there is no secret to check it with.' },
      404: { description: 'The repository that it names is not below the root.' },
      503: {
        description:
          'Too many bytes of requests are on their way, or the repository’s filesystem does not answer; to be sent again.',
      },
    },
    admit: (headers) => {
      if (secret === undefined) throw new Problem(403, 'webhooks are off: webhook-secret-file is not set')
      return sender.admit(headers, secret)
    },
    handle: async (call) => {
      const told = read(call, sender)
      if (told) {
        await invalidate(leases, told)
        invalidated(sender.name)
      }
      return { status: 204 }
    },
  }))
}

function read({ headers, raw }: Call, { payload, wikiEvent }: Sender): Told | undefined {
  const text = raw.toString()
  let told: Told | undefined
  try {
    // GitHub can wrap it up as a form.
    const json = text.startsWith('{') ? text : new URLSearchParams(text).get('payload')
    told = payload.parse(JSON.parse(json ?? ''))
  } catch {
    throw new Problem(400, 'the body is no JSON payload of this sender')
  }
  const [name, value] = wikiEvent
  if (!told || header(headers, name) !== value) return told
  return { project: told.project, wiki: told.wiki ?? wikiOf(told.project) }
}

/**
 * Invalidates the repository that has changed. A wiki that is not here is no fault of the sender's, who would be told of
 * one (GitLab ends webhooks that fail): then it is the project. Gitea keeps repositories under lower-case names, whatever
 * case it shows.
 * @throws Problem
 */
async function invalidate(leases: LeaseService, { project, wiki }: Told): Promise<void> {
  const names = wiki === undefined ? [project] : [wiki, project]
  for (const name of new Set(names.flatMap((name) => [name, name.toLowerCase()]))) {
    try {
      await leases.invalidate(name)
      return
    } catch (error) {
      if (error instanceof FilesystemUnanswered) throw new Problem(503, `${error.message}; try again later`)
      if (!(error instanceof RepositoryNotFound)) throw error
    }
  }
  throw new Problem(404, `there is no repository ${JSON.stringify(project)} below the root`)
}
