import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { FilesystemUnanswered } from '../git/filesystem-unanswered.js'
import { RepositoryNotFound } from '../service/errors.js'
import type { LeaseService } from '../service/lease-service.js'
import { Problem, type Call, type Endpoint } from './endpoint.js'

export interface WebhookOptions {
  readonly leases: LeaseService
  /** undefined: nobody can sign, so all are refused. */
  readonly secret: string | undefined
  readonly invalidated: (source: string) => void
}

/** A server that tells of pushes: how it proves who it is, and where it names the repository. */
interface Sender {
  readonly name: string
  readonly title: string
  readonly signed: (call: Call, secret: string) => boolean
  readonly repository: z.ZodType<string | undefined>
}

const header = ({ headers }: Call, name: string): string => String(headers[name] ?? '')

/** Compares in a time that does not tell where the difference is. */
function equal(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHmac('sha256', 'refstream').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

const hmac = (secret: string, raw: Buffer): string => createHmac('sha256', secret).update(raw).digest('hex')

const fullName = z
  .object({ repository: z.object({ full_name: z.string() }).optional() })
  .transform(({ repository }) => repository?.full_name)

const senders: readonly Sender[] = [
  {
    name: 'gitea',
    title: 'Gitea or Forgejo',
    signed: (call, secret) => equal(header(call, 'x-gitea-signature'), hmac(secret, call.raw)),
    repository: fullName,
  },
  {
    name: 'github',
    title: 'GitHub',
    signed: (call, secret) => equal(header(call, 'x-hub-signature-256'), `sha256=${hmac(secret, call.raw)}`),
    repository: fullName,
  },
  {
    name: 'gitlab',
    title: 'GitLab',
    // GitLab sends the secret itself. Header values arrive as Latin-1; a secret in UTF-8 gets its bytes back.
    signed: (call, secret) => equal(Buffer.from(header(call, 'x-gitlab-token'), 'latin1').toString(), secret),
    repository: z
      .object({ project: z.object({ path_with_namespace: z.string() }).optional() })
      .transform(({ project }) => project?.path_with_namespace),
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
      204: { description: 'Taken; the repository that it names is invalidated.' },
      403: { description: 'The signature is wrong, or there is no secret to check it with.' },
      404: { description: 'The repository that it names is not below the root.' },
      503: { description: 'The filesystem that it lies on does not answer.' },
    },
    handle: async (call) => {
      if (secret === undefined) throw new Problem(403, 'webhooks are off: webhook-secret-file is not set')
      if (!sender.signed(call, secret)) throw new Problem(403, 'the signature does not match the secret')
      const name = repositoryIn(call, sender)
      if (name !== undefined) {
        await invalidate(leases, name)
        invalidated(sender.name)
      }
      return { status: 204 }
    },
  }))
}

function repositoryIn(call: Call, { repository }: Sender): string | undefined {
  const text = call.raw.toString()
  try {
    // GitHub can wrap it up as a form.
    const json = text.startsWith('{') ? text : new URLSearchParams(text).get('payload')
    return repository.parse(JSON.parse(json ?? ''))
  } catch {
    throw new Problem(400, 'the body is no JSON payload of this sender')
  }
}

/** Gitea keeps repositories under lower-case names, whatever case it shows. */
async function invalidate(leases: LeaseService, name: string): Promise<void> {
  for (const candidate of new Set([name, name.toLowerCase()])) {
    try {
      await leases.invalidate(candidate)
      return
    } catch (error) {
      if (error instanceof FilesystemUnanswered) throw new Problem(503, `${error.message}; try again later`)
      if (!(error instanceof RepositoryNotFound)) throw error
    }
  }
  throw new Problem(404, `there is no repository ${JSON.stringify(name)} below the root`)
}
