import t from 'tap'
import type { Test } from 'tap'
import { createHmac } from 'node:crypto'
import { webhookEndpoints } from '../../src/admin/webhooks.js'
import type { Leases } from '../../src/freshness/leases.js'
import { serveEndpoints, type AdminReply } from '../support/admin.js'
import { makeLeaseService } from '../support/lease-service.js'
import { initBare } from '../support/repositories.js'

const secret = 'a secret, with ünïcode'
const hmac = (body: string, key = secret): string => createHmac('sha256', key).update(body).digest('hex')

/** How each sender signs a body. */
const signatures: Record<string, (body: string, key?: string) => Record<string, string>> = {
  gitea: (body, key) => ({ 'X-Gitea-Signature': hmac(body, key) }),
  github: (body, key) => ({ 'X-Hub-Signature-256': `sha256=${hmac(body, key)}` }),
  gitlab: (_body, key = secret) => ({ 'X-Gitlab-Token': Buffer.from(key).toString('latin1') }),
}
const senders = Object.keys(signatures)

/** What a sender says of a push. */
const payload = (sender: string, name: string): string =>
  JSON.stringify(
    sender === 'gitlab' ? { project: { path_with_namespace: name } } : { repository: { full_name: name } },
  )

interface World {
  readonly root: string
  readonly leases: Leases
  readonly told: string[]
  readonly send: (sender: string, body: string, headers: Record<string, string>) => Promise<AdminReply>
}

async function makeWorld(t: Test, options: { secret: string | undefined } = { secret }): Promise<World> {
  const { root, leases, service } = makeLeaseService(t)
  const told: string[] = []
  const endpoints = webhookEndpoints({
    leases: service,
    secret: options.secret,
    invalidated: (source) => told.push(source),
  })
  const { call } = await serveEndpoints(t, endpoints)
  const send: World['send'] = (sender, body, headers) =>
    call('POST', `/v1/webhooks/${sender}`, body, { 'Content-Type': 'application/json', ...headers })
  return { root, leases, told, send }
}

t.test('a push that is signed invalidates the repository that it names', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'group/sub/r.git')
  for (const [index, sender] of senders.entries()) {
    const body = payload(sender, 'group/sub/r')
    t.match(await send(sender, body, signatures[sender]!(body)), { status: 204 }, sender)
    t.equal(leases.of(repository).changes, index + 1)
  }
  t.same(told, senders)
})

t.test('what is not signed with the secret does nothing', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'r.git')
  for (const sender of senders) {
    const body = payload(sender, 'r')
    const good = signatures[sender]!(body)
    const [name, value] = Object.entries(good)[0]!
    for (const headers of [
      ...[{}, { [name]: '' }, { [name]: value.slice(0, -1) }, { [name]: `${value}0` }, { [name]: 'x' }],
      ...[signatures[sender]!(body, ''), signatures[sender]!(body, 'another')],
      ...(sender === 'gitlab' ? [] : [signatures[sender]!(`${body} `), { [name]: value.toUpperCase() }]),
      ...senders.filter((other) => other !== sender).map((other) => signatures[other]!(body)),
    ]) {
      const answer = await send(sender, body, headers)
      t.match(answer, { status: 403, body: { detail: /signature/ } }, `${sender} ${JSON.stringify(headers)}`)
    }
  }
  t.equal(leases.of(repository).changes, 0)
  t.same(told, [])
})

t.test('without a secret nobody can sign', async (t) => {
  const { root, send, told } = await makeWorld(t, { secret: undefined })
  initBare(root, 'r.git')
  for (const sender of senders) {
    const body = payload(sender, 'r')
    for (const key of ['', 'undefined', secret]) {
      const answer = await send(sender, body, signatures[sender]!(body, key))
      t.match(answer, { status: 403, body: { detail: /webhook-secret-file/ } })
    }
  }
  t.same(told, [])
})

t.test('names as senders write them, and what they must not reach', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'owner/repo.git')
  const signed = (body: string) => send('gitea', body, signatures['gitea']!(body))
  t.match(await signed(payload('gitea', 'Owner/Repo')), { status: 204 }, 'in lower case on disk')
  t.equal(leases.of(repository).changes, 1)
  initBare(root, 'Owner/Repo.git')
  t.match(await signed(payload('gitea', 'Owner/Repo')), { status: 204 })
  t.equal(leases.of(repository).changes, 1, 'a name that is there as it stands is meant so')
  for (const name of ['nothing', '../owner/repo', 'owner/../owner/repo', '', '/', '/etc']) {
    const answer = await signed(payload('gitea', name))
    t.match(answer, { status: 404, body: { detail: /no repository/ } }, JSON.stringify(name))
  }
  t.same(told, ['gitea', 'gitea'])
})

t.test('payloads', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'o/r.git')
  const signed = (body: string, type = 'application/json') =>
    send('github', body, { ...signatures['github']!(body), 'Content-Type': type })
  const form = `a=b&payload=${encodeURIComponent(payload('github', 'o/r'))}`
  t.match(await signed(form, 'application/x-www-form-urlencoded'), { status: 204 }, 'wrapped up as a form')
  t.equal(leases.of(repository).changes, 1)
  t.match(await signed('{"zen":"Keep it logically awesome."}'), { status: 204 }, 'an event of nobody’s')
  t.equal(leases.of(repository).changes, 1)
  for (const body of [
    '',
    '[]',
    '{',
    'null',
    'payload=',
    'payload=null',
    '{"repository":{}}',
    '{"repository":1}',
  ]) {
    t.match(await signed(body), { status: 400 }, JSON.stringify(body))
  }
  const long = JSON.stringify({ repository: { full_name: 'o/r' }, commits: ['x'.repeat(1_000_000)] })
  t.match(await signed(long), { status: 204 }, 'a push of many commits')
  t.match(await send('github', ' '.repeat(26_214_401), {}), { status: 413 })
  t.same(told, ['github', 'github'])
})
