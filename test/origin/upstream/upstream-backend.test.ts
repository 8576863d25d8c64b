import t from 'tap'
import { PassThrough, Readable } from 'node:stream'
import type { UpstreamRequest } from '../../../src/origin/upstream/client/upstream-client.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import type { OriginResponse } from '../../../src/origin/pass-through.js'
import { UpstreamUnavailable } from '../../../src/origin/faults/upstream-errors.js'
import { eventually } from '../../support/eventually.js'
import { passThroughRequestOf, wholeBody } from '../../support/pass-through-request.js'
import { openBody } from '../../support/upstream-answers.js'
import { openUpstreamRig } from '../../support/upstream-rig.js'

const target = { path: 'r.git', credentials: { authorization: 'Basic YTox' } }
const { signal } = new AbortController()
const admission = { admitted: true, queueing: signal, signal }
const push = (changes: Partial<Parameters<typeof passThroughRequestOf>[0]> = {}) =>
  passThroughRequestOf({
    ...{ method: 'POST', uri: '/r.git/git-receive-pack', resource: '/git-receive-pack' },
    ...changes,
  })

async function bodyOf({ body }: OriginResponse): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function sentBody({ body }: UpstreamRequest): Promise<string> {
  if (body === undefined || Buffer.isBuffer(body)) return String(body)
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

t.test('a request is passed on with its headers, but for those that are refstream’s', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, { answer: () => ({}) })
  const headers = {
    ...{
      Accept: '*/*',
      Authorization: 'Bearer other',
      Cookie: 'a=b',
      Host: 'client',
      Expect: '100-continue',
    },
    ...{ 'X-Forwarded-For': '10.0.0.1', Forwarded: 'for=10.0.0.1', 'If-None-Match': '"x"', 'X-Twice': '1' },
  }
  const listed = [...Object.entries(headers).flat(), 'x-twice', '2']
  const request = passThroughRequestOf({
    headers: listed,
    remoteAddress: '192.0.2.1',
    uri: '/r.git/HEAD?a=b',
  })
  const answer = await backend.passThrough(target, request, admission)
  const { method, path, class: requestClass, admitted, followsRedirects, body, headers: given } = sent[0]!
  t.same(
    [method, path, requestClass, admitted, followsRedirects],
    ['GET', '/r.git/HEAD', 'pass', true, false],
  )
  t.equal(body, undefined)
  t.same(given, {
    ...{ accept: '*/*', 'x-forwarded-for': '192.0.2.1' },
    Authorization: 'Basic YTox',
  })
  t.equal(await bodyOf(answer), '')
  t.equal(await answer.whole(), true)
})

t.test('an answer is passed back as it is, whatever its status', async (t) => {
  for (const status of [200, 302, 401, 404, 503]) {
    const headers = { 'WWW-Authenticate': ['Basic', 'Bearer'], Location: 'https://elsewhere' }
    const { backend } = await openUpstreamRig(t, { answer: () => ({ status, headers, body: 'said' }) })
    const answer = await backend.passThrough(target, passThroughRequestOf(), admission)
    t.equal(answer.status, status)
    t.same(answer.headers, [
      'WWW-Authenticate',
      'Basic',
      'WWW-Authenticate',
      'Bearer',
      'Location',
      'https://elsewhere',
    ])
    t.equal(await bodyOf(answer), 'said')
  }
})

t.test('redirects are followed for info/refs, and for nothing else', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, { answer: () => ({}) })
  const uri = '/r.git/info/refs?service=git-receive-pack'
  const advertisement = passThroughRequestOf({ uri, resource: '/info/refs', service: 'git-receive-pack' })
  await backend.passThrough(target, advertisement, admission)
  t.same([sent[0]!.path, sent[0]!.followsRedirects], [uri, true])
  const other = passThroughRequestOf({ uri: '/users/me?x', resource: '' })
  await backend.passThrough({ path: '' }, other, admission)
  t.same([sent[1]!.path, sent[1]!.followsRedirects], ['/users/me?x', false])
})

t.test('a body that was read is sent from memory, and the rest as it comes', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, { answer: () => ({}) })
  await backend.mutate(target, push({ body: wholeBody('all of it') }), admission)
  t.ok(Buffer.isBuffer(sent[0]!.body), 'so that it may be sent again')
  t.equal(await sentBody(sent[0]!), 'all of it')
  const body = { beginning: Buffer.from('be'), ended: false, rest: Readable.from([Buffer.from('hind')]) }
  await backend.mutate(target, push({ body }), admission)
  t.equal(await sentBody(sent[1]!), 'behind')
})

t.test('a client that leaves within its request ends it; one that has sent all does not', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, { answer: () => ({}) })
  const rest = new PassThrough()
  const body = { beginning: Buffer.alloc(0), ended: false, rest }
  await backend.mutate(target, push({ body }), admission)
  const failed = sentBody(sent[0]!)
  rest.write('half')
  rest.destroy()
  await t.rejects(failed, { message: 'the client has left' })
})

t.test('an upstream that answers early leaves the rest of a request to be dropped', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, { answer: () => ({ status: 413 }) })
  const rest = new PassThrough({ highWaterMark: 10 })
  await backend.mutate(target, push({ body: { beginning: Buffer.alloc(0), ended: false, rest } }), admission)
  ;(sent[0]!.body as Readable).destroy()
  rest.write(Buffer.alloc(1000))
  rest.end()
  await eventually('the rest is read', () => rest.readableEnded)
  t.equal(rest.errored, null, 'the client’s connection stays')
})

t.test('a push holds a lease until it has been answered, however that ends', async (t) => {
  const { backend, leases, answering } = await openUpstreamRig(t, { answer: () => ({}) })
  const status = () => leases.statusOf('http://h/r')
  const whole = openBody('ok')
  answering.answer = () => {
    t.equal(status().open, 1, 'before the upstream gets it')
    return { body: whole }
  }
  const answer = await backend.mutate(target, push(), admission)
  t.match(status(), { open: 1, openings: 1, changes: 0 })
  whole.push(null)
  await bodyOf(answer)
  await eventually('it has ended', () => status().open === 0)
  t.same([status().changes, await answer.whole()], [1, true])

  answering.answer = () => ({ body: openBody('ok') })
  const given = await backend.mutate(target, push(), admission)
  given.end()
  await eventually('it has ended', () => status().open === 0)
  t.equal(status().changes, 2)
  t.equal(await given.whole(), false)

  const broken = openBody('ok')
  answering.answer = () => ({ body: broken })
  const breaking = await backend.mutate(target, push(), admission)
  const read = bodyOf(breaking)
  broken.destroy(new UpstreamUnavailable('reset'))
  await t.rejects(read, { message: 'reset' })
  await eventually('it has ended', () => status().open === 0)
  t.same([status().changes, await breaking.whole()], [3, false])

  answering.answer = () => new UpstreamUnavailable('away')
  await t.rejects(backend.mutate(target, push(), admission), { message: 'away' })
  t.match(status(), { open: 0, openings: 4, changes: 4 }, 'it may have arrived')
})

t.test('a push that was refused, or not sent, ends no age of what is kept, however often', async (t) => {
  const { backend, leases, answering } = await openUpstreamRig(t, { answer: () => ({}) })
  const refusals = [401, 403, 404, 429].flatMap((status) => Array.from({ length: 50 }, () => status))
  for (const [count, status] of refusals.entries()) {
    answering.answer = () => ({ status })
    await bodyOf(await backend.mutate(target, push(), admission))
    await eventually('it has ended', () => leases.statusOf('http://h/r').open === 0)
    t.match(leases.statusOf('http://h/r'), { open: 0, openings: count + 1, changes: 0 })
  }
  for (const error of [new Overloaded('wait', 1), new UpstreamUnavailable('paused', { wasAsked: false })]) {
    answering.answer = () => error
    await t.rejects(backend.mutate(target, push(), admission), error)
    t.match(leases.statusOf('http://h/r'), { open: 0, changes: 0 })
  }
})

t.test('an answer to HEAD is given up after its head', async (t) => {
  const { backend, sent } = await openUpstreamRig(t, {
    answer: () => ({ headers: { 'Content-Length': '23' } }),
  })
  const answer = await backend.passThrough(target, passThroughRequestOf({ method: 'HEAD' }), admission)
  t.same([sent[0]!.method, answer.status, answer.headers], ['HEAD', 200, ['Content-Length', '23']])
  answer.end()
  await eventually('its body is closed', () => answer.body.destroyed)
})

t.test('a repository of no upstream is rejected, and not thrown', async (t) => {
  const { backend } = await openUpstreamRig(t, { answer: () => ({}) })
  const elsewhere = { path: 'elsewhere/r' }
  const notFound = { name: 'RepositoryNotFound' }
  await t.rejects(backend.passThrough(elsewhere, passThroughRequestOf(), admission), notFound)
  await t.rejects(backend.mutate(elsewhere, push(), admission), notFound)
})
