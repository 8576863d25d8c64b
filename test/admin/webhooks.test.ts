import t from 'tap'
import type { Test } from 'tap'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { webhookEndpoints } from '../../src/admin/webhooks.js'
import type { Leases } from '../../src/freshness/leases/leases.js'
import { serveEndpoints, type AdminReply } from '../support/admin.js'
import { connect } from '../support/http-client.js'
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
  readonly url: string
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
  const { url, call } = await serveEndpoints(t, endpoints)
  const send: World['send'] = (sender, body, headers) =>
    call('POST', `/v1/webhooks/${sender}`, body, { 'Content-Type': 'application/json', ...headers })
  return { url, root, leases, told, send }
}

t.test('a signed push webhook invalidates the repository that it names', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'group/sub/r.git')
  for (const [index, sender] of senders.entries()) {
    const body = payload(sender, 'group/sub/r')
    t.match(await send(sender, body, signatures[sender]!(body)), { status: 204 }, sender)
    t.equal(leases.statusOf(repository).changes, index + 1)
  }
  t.same(told, senders)
})

t.test('a webhook with a wrong signature does nothing', async (t) => {
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
  t.equal(leases.statusOf(repository).changes, 0)
  t.same(told, [])
})

t.test('without a secret, every webhook is rejected', async (t) => {
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

t.test('repository names in each sender’s form, and names outside of the root', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'owner/repo.git')
  const signed = (body: string) => send('gitea', body, signatures['gitea']!(body))
  t.match(await signed(payload('gitea', 'Owner/Repo')), { status: 204 }, 'in lower case on disk')
  t.equal(leases.statusOf(repository).changes, 1)
  initBare(root, 'Owner/Repo.git')
  t.match(await signed(payload('gitea', 'Owner/Repo')), { status: 204 })
  t.equal(leases.statusOf(repository).changes, 1, 'a name that is there as it stands is meant so')
  for (const name of ['nothing', '../owner/repo', 'owner/../owner/repo', '', '/', '/etc']) {
    const answer = await signed(payload('gitea', name))
    t.match(answer, { status: 404, body: { detail: /no repository/ } }, JSON.stringify(name))
  }
  t.same(told, ['gitea', 'gitea'])
})

t.test('payload formats', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const repository = initBare(root, 'o/r.git')
  const signed = (body: string, type = 'application/json') =>
    send('github', body, { ...signatures['github']!(body), 'Content-Type': type })
  const form = `a=b&payload=${encodeURIComponent(payload('github', 'o/r'))}`
  t.match(await signed(form, 'application/x-www-form-urlencoded'), { status: 204 }, 'sent as a form')
  t.equal(leases.statusOf(repository).changes, 1)
  t.match(
    await signed('{"zen":"Keep it logically awesome."}'),
    { status: 204 },
    'an event that names no repository',
  )
  t.equal(leases.statusOf(repository).changes, 1)
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
  t.match(await signed(' '.repeat(26_214_401)), { status: 413 })
  t.same(told, ['github', 'github'])
})

t.test('a malformed signature is rejected before the body is received', async (t) => {
  for (const world of [await makeWorld(t, { secret: undefined }), await makeWorld(t)]) {
    for (const sender of senders) {
      const good = signatures[sender]!('body')
      const [name, value] = Object.entries(good)[0]!
      const heads: Record<string, string>[] = [{}, { [name]: 'x' }, { [name]: value.slice(1) }]
      if (sender === 'gitlab') heads.push({ [name]: 'another' })
      for (const headers of heads) {
        const socket = connect(world.url)
        const lines = Object.entries(headers).map(([field, given]) => `${field}: ${given}\r\n`)
        const head = `POST /v1/webhooks/${sender} HTTP/1.1\r\nHost: x\r\nContent-Length: 25000000\r\n`
        socket.write(`${head}${lines.join('')}\r\n`, 'latin1')
        const [answer] = (await once(socket, 'data')) as [Buffer]
        t.match(answer.toString(), /^HTTP\/1\.1 403 /, `${sender} ${JSON.stringify(headers)}`)
        socket.destroy()
      }
    }
  }
})

t.test('a wiki event invalidates the wiki’s repository', async (t) => {
  const { root, leases, told, send } = await makeWorld(t)
  const project = initBare(root, 'o/r.git')
  const events: Record<string, { header: Record<string, string>; more: object }> = {
    gitea: { header: { 'X-Gitea-Event': 'wiki' }, more: { action: 'edited', page: 'Home' } },
    github: { header: { 'X-GitHub-Event': 'gollum' }, more: { pages: [{ page_name: 'Home' }] } },
    gitlab: {
      header: { 'X-Gitlab-Event': 'Wiki Page Hook' },
      more: { object_kind: 'wiki_page', wiki: { path_with_namespace: 'o/r.wiki' } },
    },
  }
  const post = (sender: string, name: string, header: object, more: object): Promise<AdminReply> => {
    const body = JSON.stringify({ ...(JSON.parse(payload(sender, name)) as object), ...more })
    return send(sender, body, { ...signatures[sender]!(body), ...header })
  }
  for (const sender of senders) {
    const { header, more } = events[sender]!
    t.match(await post(sender, 'o/r', header, more), { status: 204 }, 'a project whose wiki is not here')
  }
  const wiki = initBare(root, 'o/r.wiki.git')
  const before = leases.statusOf(project).changes
  let changes = 0
  for (const sender of senders) {
    const { header, more } = events[sender]!
    const variants: [object, object][] = [
      [header, more],
      [header, {}],
      [{}, more],
    ]
    for (const parts of variants) {
      t.match(await post(sender, 'o/r', ...parts), { status: 204 }, `${sender} ${JSON.stringify(parts)}`)
      t.equal(leases.statusOf(wiki).changes, ++changes)
    }
    t.match(await post(sender, 'o/none', header, {}), { status: 404 })
  }
  t.equal(leases.statusOf(project).changes, before, 'the project’s own has not changed')
  t.match(await post('gitea', 'O/R', {}, { page: 'Home' }), { status: 204 }, 'in lower case on disk')
  t.equal(leases.statusOf(wiki).changes, changes + 1)
  t.match(await post('gitea', 'o/r', { 'X-Gitea-Event': 'push' }, {}), { status: 204 })
  t.equal(leases.statusOf(project).changes, before + 1)
  t.ok(told.length > 0)
})
