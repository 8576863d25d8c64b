import t from 'tap'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { CredentialSource } from '../../../src/origin/upstream/credentials/credential-source.js'
import type { UpstreamRequest } from '../../../src/origin/upstream/client/upstream-client.js'
import type { UpstreamRepository } from '../../../src/origin/upstream/upstream.js'
import { UpstreamRequests } from '../../../src/origin/upstream/upstream-requests.js'
import type { Entry } from '../../../src/streamcache/index.js'
import {
  advertisementType,
  capabilities,
  listing,
  openBody,
  packets,
  responseOf,
  resultType,
  type UpstreamAnswer,
} from '../../support/upstream-answers.js'
import { UpstreamUnavailable } from '../../../src/origin/faults/upstream-errors.js'

const id = '1'.repeat(40)
const sha256 = 'a'.repeat(64)
const kept = { sha256 } as unknown as Entry
const signal = new AbortController().signal
const asking = { kept: undefined, signal, cause: 'client' } as const
const body = packets('command=ls-refs\n')

/** Opens requests whose upstream answers so, one after another, the last from then on. */
function open(
  answers: readonly (UpstreamAnswer | Error)[],
  changes: Partial<UpstreamRepository['upstream']> = {},
) {
  const left = [...answers]
  const sent: UpstreamRequest[] = []
  const ended: string[] = []
  const requests = new UpstreamRequests({ ended: (...what) => ended.push(what.join(' ')) })
  const repository: UpstreamRepository = {
    upstream: {
      ...{ name: 'h:80', url: 'http://h', service: undefined, followsRenames: true, isShared: false },
      client: {
        request: async (request) => {
          sent.push(request)
          const answer = left.length > 1 ? left.shift()! : left[0]!
          if (answer instanceof Error) throw answer
          return responseOf(answer)
        },
      },
      ...changes,
    },
    ...{ name: 'r.git', path: '/r.git', subject: 'http://h/r', view: 'me', client: 'me', maxAgeMs: 0 },
    credentials: { authorization: 'Basic YTox', cookie: 'a=b' },
  }
  return { requests, repository, sent, ended }
}

async function read(answer: AsyncIterable<Buffer> | 'unchanged'): Promise<string> {
  if (answer === 'unchanged') return answer
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

t.test('an advertisement is asked for as Git does, with the client’s credentials', async (t) => {
  const { requests, repository, sent, ended } = open([capabilities()])
  for (const version of [0, 1, 2] as const) {
    const answer = await requests.advertisement(repository, version, asking)
    t.match(await read(answer), /^001e# service=git-upload-pack\n/)
    const { method, path, headers, followsRedirects, admitted, group } = sent.at(-1)!
    t.same([method, path], ['GET', '/r.git/info/refs?service=git-upload-pack'])
    t.same([followsRedirects, admitted, group], [true, false, 'http://h/r'])
    t.same(headers, {
      ...(version > 0 && { 'Git-Protocol': `version=${version}` }),
      ...{ 'Accept-Encoding': 'gzip', Authorization: 'Basic YTox', Cookie: 'a=b' },
      // A refstream compresses its answer for those that send a condition.
      'If-None-Match': '"none"',
    })
  }
  t.same(
    ended,
    Array.from({ length: 3 }, () => 'h:80 client ok'),
  )
})

t.test('a listing is asked for as Git does', async (t) => {
  const lines = [`${id} HEAD symref-target:refs/heads/main\n`, `${id} refs/heads/main\n`]
  const { requests, repository, sent } = open([listing(...lines)])
  t.equal(await read(await requests.listing(repository, body, asking)), packets(...lines).toString())
  const { method, path, headers, followsRedirects, admitted } = sent[0]!
  t.same([method, path, followsRedirects, admitted], ['POST', '/r.git/git-upload-pack', undefined, true])
  t.match(headers, {
    ...{ 'Content-Type': 'application/x-git-upload-pack-request', Accept: resultType },
    'Git-Protocol': 'version=2',
  })
  t.same(sent[0]!.body, body)
})

t.test('a listing that is not in Git’s order is an error, and frees its connection', async (t) => {
  const { body: answer } = listing(`${id} refs/heads/b\n`, `${id} refs/heads/a\n`)
  const open_ = openBody(answer as Buffer, answer as Buffer)
  const { requests, repository } = open([{ headers: { 'Content-Type': resultType }, body: open_ }])
  await t.rejects(requests.listing(repository, body, asking), { name: 'UnsortedListing' })
  t.ok(open_.destroyed)
})

t.test('what is kept is confirmed by 304, or by 412 for a POST, if it is named', async (t) => {
  const tags = [`"${sha256}"`, `"${sha256}-gzip"`, `W/"${sha256}"`]
  for (const tag of tags) {
    for (const status of [304, 412]) {
      const { requests, repository, sent, ended } = open([{ status, headers: { ETag: tag } }])
      t.equal(await requests.advertisement(repository, 2, { ...asking, kept }), 'unchanged')
      t.equal(await requests.listing(repository, body, { ...asking, kept }), 'unchanged')
      t.same(
        sent.map(({ headers }) => headers['If-None-Match']),
        [`"${sha256}"`, `"${sha256}"`],
      )
      t.same(ended, ['h:80 client unchanged', 'h:80 client unchanged'])
    }
  }
})

t.test('a 304 or 412 that names nothing, or another answer, confirms nothing', async (t) => {
  const others = [{}, { ETag: `"${'b'.repeat(64)}"` }]
  for (const headers of others) {
    const { requests, repository } = open([{ status: 412, headers }])
    await t.rejects(requests.listing(repository, body, { ...asking, kept }), {
      name: 'UpstreamRefusal',
      status: 412,
    })
    const other = open([{ status: 304, headers }])
    await t.rejects(other.requests.advertisement(other.repository, 2, { ...asking, kept }), {
      name: 'UpstreamUnavailable',
    })
  }
  const { requests, repository, sent } = open([{ status: 412, headers: { ETag: `"${sha256}"` } }])
  await t.rejects(requests.listing(repository, body, asking), { name: 'UpstreamRefusal' }, 'nothing is kept')
  await t.rejects(requests.listing(repository, body, { ...asking, kept: {} as unknown as Entry }), {
    name: 'UpstreamRefusal',
  })
  t.ok(sent.every(({ headers }) => headers['If-None-Match'] === '"none"'))
})

t.test('a refusal is passed on; a page is no answer', async (t) => {
  for (const status of [401, 403, 404]) {
    const headers = { 'WWW-Authenticate': ['Basic realm="x"', 'Bearer'] }
    const { requests, repository, ended } = open([{ status, headers, body: 'no' }])
    await t.rejects(requests.advertisement(repository, 2, asking), {
      ...{ name: 'UpstreamRefusal', status, body: Buffer.from('no') },
      headers: ['WWW-Authenticate', 'Basic realm="x"', 'WWW-Authenticate', 'Bearer'],
    })
    t.same(ended, ['h:80 client refused'])
  }
  for (const type of ['text/html', 'application/x-git-upload-pack-result', '']) {
    const page = openBody('<html>')
    const { requests, repository } = open([{ headers: { 'Content-Type': type }, body: page }])
    await t.rejects(requests.advertisement(repository, 2, asking), { name: 'NotSmart' })
    t.ok(page.destroyed)
  }
  const { body: bytes } = capabilities()
  const { requests, repository } = open([
    {
      headers: { 'Content-Type': `${advertisementType.toUpperCase()}; charset=utf-8` },
      body: bytes as Buffer,
    },
  ])
  t.match(await read(await requests.advertisement(repository, 2, asking)), /version 2/)
})

t.test('a fetch is sent once, and its answer inflated', async (t) => {
  const pack = packets('packfile\n')
  const headers = { 'Content-Type': resultType }
  const answers = [
    { headers, body: pack },
    { headers: { ...headers, 'Content-Encoding': 'gzip' }, body: gzipSync(pack) },
  ]
  const { requests, repository, sent, ended } = open(answers)
  for (let count = 0; count < 2; count++) {
    const answer = await requests.fetch(repository, { version: 2, body }, { signal, admitted: true })
    t.equal(await read(answer), pack.toString())
  }
  const { method, path, class: requestClass, headers: given } = sent[0]!
  t.same([method, path, requestClass], ['POST', '/r.git/git-upload-pack', 'pack'])
  t.notOk('Accept-Encoding' in given, 'a pack is compressed already')
  t.same(ended, ['h:80 pack ok', 'h:80 pack ok'])
})

t.test('where a repository has moved is remembered for each client', async (t) => {
  const moved = { ...capabilities(), redirectedTo: 'https://new/r.git/info/refs?service=git-upload-pack' }
  const { requests, repository, sent } = open([moved, listing(), capabilities(), listing()])
  const other = { ...repository, client: 'another' }
  await requests.advertisement(repository, 2, asking)
  t.equal(requests.placeOf(repository), 'https://new/r.git')
  t.equal(requests.placeOf(other), '/r.git')
  await requests.listing(repository, body, asking)
  t.equal(sent[1]!.path, 'https://new/r.git/git-upload-pack')
  await requests.advertisement(repository, 2, asking)
  t.equal(sent[2]!.path, '/r.git/info/refs?service=git-upload-pack', 'it is found out anew each time')
  t.equal(requests.placeOf(repository), '/r.git', 'it has moved back')
  await requests.listing(repository, body, asking)
  t.equal(sent[3]!.path, '/r.git/git-upload-pack')
})

t.test('requests that no response came to are counted, but for those whose client has left', async (t) => {
  const { requests, repository, ended } = open([new UpstreamUnavailable('away')])
  await t.rejects(requests.advertisement(repository, 2, { ...asking, cause: 'refresh' }), { message: 'away' })
  t.same(ended, ['h:80 refresh unavailable'])
  await t.rejects(requests.advertisement(repository, 2, { ...asking, signal: AbortSignal.abort() }))
  t.equal(ended.length, 1)
})

/** A credential of refstream's own. */
function serviceWith(authorization: string | undefined) {
  const told: string[] = []
  const service: CredentialSource = {
    get: async () => authorization,
    rejected: (value) => told.push(`rejected ${value}`),
    accepted: (value) => told.push(`accepted ${value}`),
  }
  return { service, told }
}

t.test(
  'in service mode the upstream gets refstream’s credential, and no client is asked for one',
  async (t) => {
    const { service, told } = serviceWith('Basic own')
    const challenge = openBody('who are you?')
    const headers = { 'WWW-Authenticate': 'Basic' }
    const { requests, repository, sent } = open(
      [capabilities(), { status: 403 }, { status: 404 }, { status: 401, headers, body: challenge }],
      { service },
    )
    const own = { ...repository, credentials: {} }
    await requests.advertisement(own, 2, asking)
    t.equal(sent[0]!.headers['Authorization'], 'Basic own')
    t.notOk('Cookie' in sent[0]!.headers)
    for (const status of [403, 404])
      await t.rejects(requests.advertisement(own, 2, asking), { name: 'UpstreamRefusal', status })
    t.same(told, ['accepted Basic own', 'accepted Basic own', 'accepted Basic own'])
    await t.rejects(requests.advertisement(own, 2, asking), {
      ...{ name: 'UpstreamUnavailable', status: 401, message: /another credential/ },
    })
    t.equal(told.at(-1), 'rejected Basic own')
    t.ok(challenge.destroyed)
  },
)

t.test('a server that is out of order says nothing about the credential', async (t) => {
  const { service, told } = serviceWith('Basic own')
  const { requests, repository } = open([{ status: 503 }], { service })
  const sent = { cause: 'pass', method: 'GET', class: 'pass', admitted: false, signal } as const
  t.equal((await requests.send(repository, '/HEAD', sent)).status, 503)
  t.same(told, [])
})

t.test('without a credential of its own, refstream says that it needs one', async (t) => {
  const { service, told } = serviceWith(undefined)
  const { requests, repository, sent } = open([{ status: 401 }], { service })
  await t.rejects(requests.advertisement({ ...repository, credentials: {} }, 2, asking), {
    ...{ name: 'UpstreamUnavailable', message: /h:80 wants a credential/ },
  })
  t.notOk('Authorization' in sent[0]!.headers)
  t.same(told, [])
})

t.test('a target that Git’s protocol does not have is sent as it came', async (t) => {
  const { requests, repository, sent } = open([
    { body: gzipSync('page'), headers: { 'Content-Encoding': 'gzip' } },
  ])
  const given = { cause: 'pass', method: 'GET', class: 'pass', admitted: false, signal } as const
  const { body: page } = await requests.send(repository, '?a=b', { ...given, uri: '/users/me?a=b' })
  t.equal(sent[0]!.path, '/users/me?a=b')
  const chunks: Buffer[] = []
  for await (const chunk of page as AsyncIterable<Buffer>) chunks.push(chunk)
  t.equal(gunzipSync(Buffer.concat(chunks)).toString(), 'page', 'and its answer comes as it is')
})
