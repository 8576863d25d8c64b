import { createHmac, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'
import { RepositoryNotFound } from '../origin/faults/errors.js'
import type { LeaseService } from '../service/lease-service.js'
import { Problem, type BodyCheck, type Call, type Endpoint } from './endpoint.js'
import { problemOf } from './problem-of.js'

export interface WebhookOptions {
  readonly leases: LeaseService
  /** undefined: all webhooks are rejected. */
  readonly secret: string | undefined
  readonly invalidated: (source: string) => void
}

type Headers = Call['headers']

/** The repositories that a payload names. */
interface Named {
  /** The project's repository. */
  readonly project: string
  /** The repository of the project's wiki, if the event is about a wiki. */
  readonly wiki: string | undefined
}

/** A Git server that sends push webhooks: how it signs them, and where it names the repository. */
interface Sender {
  readonly name: string
  readonly title: string
  /** Checks the head of a request. @returns the check of its body @throws Problem if the head cannot be valid */
  readonly admit: (headers: Headers, secret: string) => BodyCheck | undefined
  readonly payload: z.ZodType<Named | undefined>
  /** The header that names the event, and its value for a change of a wiki. */
  readonly wikiEvent: readonly [header: string, value: string]
}

const header = (headers: Headers, name: string): string => String(headers[name] ?? '')

const unsigned = (): Problem => new Problem(403, 'the signature does not match the secret')

/** Compares in constant time. */
function equal(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHmac('sha256', 'refstream').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** Checks a body, while it is received, against the HMAC that a header holds after a prefix. */
const signedIn =
  (name: string, prefix = ''): Sender['admit'] =>
  (headers, secret) => {
    const given = header(headers, name)
    // A malformed signature is rejected before the body is received.
    if (!given.startsWith(prefix) || !/^[0-9a-f]{64}$/.test(given.slice(prefix.length))) throw unsigned()
    const hmac = createHmac('sha256', secret)
    return {
      take: (piece) => void hmac.update(piece),
      end: () => {
        if (!equal(given, prefix + hmac.digest('hex'))) throw unsigned()
      },
    }
  }

/** For Gitea and GitHub, whose wiki events name the project, and the page (Gitea) or pages (GitHub) that have changed. */
const fullName = z
  .object({
    repository: z.object({ full_name: z.string() }).optional(),
    page: z.unknown().optional(),
    pages: z.unknown().optional(),
  })
  .transform(({ repository, page, pages }): Named | undefined => {
    if (!repository) return undefined
    const ofWiki = typeof page === 'string' || Array.isArray(pages)
    return { project: repository.full_name, wiki: ofWiki ? wikiOf(repository.full_name) : undefined }
  })

/** All three servers store a project's wiki beside the project. */
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
    // GitLab sends the secret itself. Node decodes header values as Latin-1; the secret is UTF-8.
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
      .transform(({ project, wiki }): Named | undefined => {
        return project && { project: project.path_with_namespace, wiki: wiki?.path_with_namespace }
      }),
    wikiEvent: ['x-gitlab-event', 'Wiki Page Hook'],
  },
]

/** GitHub sends no more (25 MB by its documentation); the others send less. */
const payloadMax = 25 * 1024 * 1024

/** Returns the endpoints of push webhooks, which invalidate the repository in the payload. Events without one are accepted. */
export function webhookEndpoints({ leases, secret, invalidated }: WebhookOptions): Endpoint[] {
  return senders.map((sender) => ({
    method: 'POST',
    path: `/v1/webhooks/${sender.name}`,
    summary: `A push webhook of ${sender.title}, signed with the secret of webhook-secret-file.`,
    bodyMax: payloadMax,
    answers: {
      204: { description: 'Accepted; the repository that it names, or that of its wiki, is invalidated.' },
      403: { description: 'The signature is wrong, or there is no secret to check it with.' },
      404: { description: 'The repository that it names is not below the root.' },
      503: {
        description:
          'Too many request bodies are being received, or the filesystem of the repository does not answer; send it again.',
      },
    },
    admit: (headers) => {
      if (secret === undefined) throw new Problem(403, 'webhooks are off: webhook-secret-file is not set')
      return sender.admit(headers, secret)
    },
    handle: async (call) => {
      const named = parse(call, sender)
      if (named) {
        await invalidate(leases, named)
        invalidated(sender.name)
      }
      return { status: 204 }
    },
  }))
}

function parse({ headers, raw }: Call, { payload, wikiEvent }: Sender): Named | undefined {
  const text = raw.toString()
  let named: Named | undefined
  try {
    // GitHub can send the payload in a form.
    const json = text.startsWith('{') ? text : new URLSearchParams(text).get('payload')
    named = payload.parse(JSON.parse(json ?? ''))
  } catch {
    throw new Problem(400, 'the body is not a JSON payload of this sender')
  }
  const [name, value] = wikiEvent
  if (!named || header(headers, name) !== value) return named
  return { project: named.project, wiki: named.wiki ?? wikiOf(named.project) }
}

/**
 * Invalidates the repository that has changed: the wiki, or else the project, since an error for a wiki that is not served
 * here could make the sender disable the webhook (GitLab does). Gitea stores repositories under lower-case names, whatever
 * case it shows.
 * @throws Problem
 */
async function invalidate(leases: LeaseService, { project, wiki }: Named): Promise<void> {
  const names = wiki === undefined ? [project] : [wiki, project]
  for (const name of new Set(names.flatMap((name) => [name, name.toLowerCase()]))) {
    try {
      await leases.invalidate(name)
      return
    } catch (error) {
      if (!(error instanceof RepositoryNotFound)) throw problemOf(error) ?? error
    }
  }
  throw new Problem(404, `there is no repository ${JSON.stringify(project)} below the root`)
}
