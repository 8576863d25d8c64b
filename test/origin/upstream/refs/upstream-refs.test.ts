import t from 'tap'
import { RedirectRefused } from '../../../../src/origin/upstream/client/errors.js'
import type { UpstreamRequest } from '../../../../src/origin/upstream/client/upstream-client.js'
import { UpstreamUnavailable } from '../../../../src/origin/faults/upstream-errors.js'
import { eventually } from '../../../support/eventually.js'
import { collect } from '../../../support/producers.js'
import { queryOf } from '../../../support/ref-answers.js'
import {
  capabilities,
  isAdvertisement,
  listing,
  openBody,
  packets,
  resultType,
  type UpstreamAnswer,
} from '../../../support/upstream-answers.js'
import { openUpstreamRig } from '../../../support/upstream-rig.js'
import type { RefAnswer, RefsAsked } from '../../../../src/origin/origin.js'
import { pktLine } from '../../../../src/git/protocol/pkt-line.js'

const id = '1'.repeat(40)
const head = `${id} HEAD symref-target:refs/heads/main\n`
const main = `${id} refs/heads/main\n`
const tag = `${id} refs/tags/v1\n`
const heads = { objectFormat: 'sha1', prefixes: ['refs/heads/'] }
const all = { objectFormat: 'sha1' }

/** A server of these refs, whatever prefixes are asked for. */
const serving =
  (...lines: readonly string[]) =>
  (request: UpstreamRequest): UpstreamAnswer =>
    isAdvertisement(request) ? capabilities() : listing(...lines)

async function read(answer: RefAnswer | undefined, asked: RefsAsked): Promise<string> {
  if (!answer) throw new Error('there is no listing')
  const parts: Buffer[] = []
  for await (const part of answer.listing.cut(queryOf(asked))) parts.push(part)
  return Buffer.concat(parts).toString('latin1')
}

t.test('in exact mode, the question for a client’s own view is its verdict too', async (t) => {
  const { refs, repositoryFor, taken } = await openUpstreamRig(t, { answer: serving(head, main, tag) })
  const repository = repositoryFor()
  t.equal(await read(await refs.list(repository, heads), heads), packets(main).toString())
  t.same(taken(), ['POST /git-upload-pack'])
  const again = await refs.list(repository, heads)
  t.equal(again?.reuse, 'revalidated', 'it is asked again, and the answer is the same')
  t.same(taken(), ['POST /git-upload-pack'])
})

t.test('in a shared view, each client needs a verdict of its own', async (t) => {
  const { refs, repositoryFor, taken, answering, committed } = await openUpstreamRig(t, {
    ...{ answer: serving(head, main), upstream: { isShared: true }, maxAgeMs: 3_600_000 },
  })
  await refs.list(repositoryFor({ authorization: 'a' }), heads)
  await committed(2)
  t.same(taken(), ['GET /info/refs', 'POST /git-upload-pack'])
  await refs.list(repositoryFor({ authorization: 'a' }), heads)
  t.same(taken(), [], 'the verdict is remembered')
  const second = await refs.list(repositoryFor({ authorization: 'b' }), heads)
  t.same(taken(), ['GET /info/refs'])
  t.equal(second?.reuse, 'hit')
  answering.answer = () => ({ status: 403 })
  const refused = { name: 'UpstreamRefusal', status: 403 }
  await t.rejects(refs.list(repositoryFor({ authorization: 'c' }), heads), refused)
  await t.rejects(refs.advertise(repositoryFor({ authorization: 'c' }), 0), refused)
  await t.rejects(refs.advertise(repositoryFor({ authorization: 'c' }), 2), refused)
  await t.rejects(refs.verdict(repositoryFor({ authorization: 'c' })), refused)
  t.same(
    taken(),
    Array.from({ length: 4 }, () => 'GET /info/refs'),
    'a refusal is not remembered',
  )
})

t.test('in bounded mode, an answer to a covering question answers', async (t) => {
  const { refs, leases, repositoryFor, taken, committed } = await openUpstreamRig(t, {
    ...{ answer: serving(head, main, tag), maxAgeMs: 3_600_000 },
  })
  const repository = repositoryFor()
  await read(await refs.list(repository, { ...all, unborn: true }), all)
  await committed(2)
  taken()
  for (const asked of [
    heads,
    all,
    { ...all, prefixes: ['refs/tags/', 'HEAD'] },
    { ...all, prefixes: ['no name'] },
  ])
    t.equal((await refs.list(repository, asked))?.reuse, 'hit')
  t.same(taken(), [])
  leases.invalidate(repository.subject)
  await refs.list(repository, heads)
  t.same(taken(), ['GET /info/refs', 'POST /git-upload-pack'], 'after an invalidation it is asked anew')
  await refs.list(repository, all)
  t.same(taken(), ['POST /git-upload-pack'], 'a narrow answer does not answer a wide question')
})

t.test('a push under way makes every answer exact', async (t) => {
  const { refs, leases, repositoryFor, taken, committed } = await openUpstreamRig(t, {
    ...{ answer: serving(head, main), maxAgeMs: 3_600_000 },
  })
  const repository = repositoryFor()
  await refs.list(repository, heads)
  await committed(2)
  const { id: lease } = leases.open(repository.subject, 60_000)
  taken()
  await refs.list(repository, heads)
  await refs.list(repository, heads)
  t.same(taken().filter((each) => each.startsWith('POST')).length, 2)
  leases.end(lease, 'unchanged')
  await refs.list(repository, heads)
  t.same(taken(), [])
})

t.test('the object format is that of the repository where none is asked for', async (t) => {
  const sha256 = '2'.repeat(64)
  const { refs, sent, repositoryFor } = await openUpstreamRig(t, {
    answer: (request) =>
      isAdvertisement(request) ? capabilities('sha256') : listing(`${sha256} refs/heads/main\n`),
  })
  await read(await refs.list(repositoryFor(), {}), {})
  t.match((sent.at(-1)!.body as Buffer).toString(), /object-format=sha256\n/)
})

t.test('listings that cannot be cut pass through, also where that is found out late', async (t) => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, index) => `${id} refs/heads/${String(index).padStart(6, '0')}\n`)
  const early = await openUpstreamRig(t, { answer: serving(main, head) })
  t.equal(await early.refs.list(early.repositoryFor(), heads), undefined)
  early.taken()
  t.equal(await early.refs.list(early.repositoryFor(), heads), undefined)
  t.same(early.taken(), [], 'it is known by then')

  const late = await openUpstreamRig(t, { answer: serving(...lines(100), head) })
  const answer = listing(...lines(2000), head).body as Buffer
  late.answering.answer = () => ({
    headers: { 'Content-Type': resultType },
    body: openBody(answer.subarray(0, 50_000), answer.subarray(50_000)),
  })
  await t.rejects(read(await late.refs.list(late.repositoryFor(), heads), heads), { name: 'FillError' })
  await eventually(
    'it is known',
    async () => (await late.refs.list(late.repositoryFor(), heads)) === undefined,
  )
  const page = await openUpstreamRig(t, { answer: () => ({ body: '<html>' }) })
  t.equal(
    await page.refs.list(page.repositoryFor(), heads),
    undefined,
    'what is no answer passes through too',
  )
  await t.rejects(page.refs.advertise(page.repositoryFor(), 2), { name: 'NotSmart' })
})

t.test('an upstream that is away is asked again after a pause', async (t) => {
  const away = new UpstreamUnavailable('h:80: cannot connect', { retryAfterMs: 5, status: 503 })
  const { refs, repositoryFor, taken, clock, answering } = await openUpstreamRig(t, { answer: () => away })
  for (let count = 0; count < 10; count++)
    await t.rejects(refs.list(repositoryFor(), heads), {
      name: 'UpstreamUnavailable',
      message: away.message,
      status: 503,
    })
  t.equal(taken().length, 2, 'a first failure does not block')
  answering.answer = serving(head, main)
  clock.advance(20_000)
  t.equal(await read(await refs.list(repositoryFor(), heads), heads), packets(main).toString())
})

t.test('so is one whose answers break off', async (t) => {
  const { refs, repositoryFor, taken } = await openUpstreamRig(t, {
    answer: () => ({ headers: { 'Content-Type': resultType }, body: pktLine(main) }),
  })
  const failures: unknown[] = []
  for (let count = 0; count < 6; count++) {
    await t.rejects(async () => read(await refs.list(repositoryFor(), heads), heads))
    await eventually('the failure is learnt', () => failures.push(count) > 0)
  }
  t.ok(taken().length <= 3)
})

t.test(
  'an answer that is older may be given while the upstream is away, but not if it refuses',
  async (t) => {
    const { refs, repositoryFor, answering } = await openUpstreamRig(t, {
      ...{ answer: serving(head, main), staleMs: 3_600_000 },
    })
    // Clients ask for the capabilities first: that the upstream has let this one in is what a stale answer needs.
    await refs.verdict(repositoryFor())
    await read(await refs.list(repositoryFor(), heads), heads)
    // What is kept is no verdict: that must be remembered too.
    await refs.verdict(repositoryFor())
    answering.answer = () => new UpstreamUnavailable('away')
    const stale = await refs.list(repositoryFor(), heads)
    t.equal(stale?.isStale, true)
    t.equal(await read(stale, heads), packets(main).toString())
    answering.answer = () => ({ status: 404 })
    await t.rejects(refs.list(repositoryFor(), heads), { name: 'UpstreamRefusal' })
    answering.answer = () => new UpstreamUnavailable('away')
    await t.rejects(refs.list(repositoryFor(), heads), { name: 'UpstreamUnavailable' }, 'it is forgotten')
  },
)

t.test(
  'a redirect that is refused, and what is no answer of Git, are no reason for a stale answer',
  async (t) => {
    for (const failure of [new RedirectRefused(302, 'to a login page'), { body: '<html></html>' }]) {
      const { refs, repositoryFor, answering } = await openUpstreamRig(t, {
        ...{ answer: serving(head, main), staleMs: 3_600_000, verdictMs: 0 },
      })
      for (let count = 0; count < 2; count++) await refs.verdict(repositoryFor())
      answering.answer = () => new UpstreamUnavailable('away')
      await t.resolves(refs.verdict(repositoryFor()), 'it is stale')
      answering.answer = () => failure
      await t.rejects(refs.verdict(repositoryFor()))
      answering.answer = () => new UpstreamUnavailable('away')
      await t.rejects(refs.verdict(repositoryFor()), { name: 'UpstreamUnavailable' }, 'it is forgotten')
    }
  },
)

t.test('a refusal of one question ends what is stale for all others of that client', async (t) => {
  const { refs, repositoryFor, answering } = await openUpstreamRig(t, {
    ...{ answer: serving(head, main), staleMs: 3_600_000 },
  })
  await refs.verdict(repositoryFor())
  await read(await refs.list(repositoryFor(), heads), heads)
  answering.answer = () => ({ status: 404 })
  await t.rejects(refs.advertise(repositoryFor(), 0), { name: 'UpstreamRefusal' })
  answering.answer = () => new UpstreamUnavailable('away')
  await t.rejects(refs.list(repositoryFor(), heads), { name: 'UpstreamUnavailable' })
  await t.rejects(refs.verdict(repositoryFor()), { name: 'UpstreamUnavailable' })
})

t.test('a client that leaves stops waiting; the others are answered', async (t) => {
  let answer: (answer: UpstreamAnswer) => void = () => {}
  const { refs, repositoryFor, sent, cache } = await openUpstreamRig(t, {
    answer: () => new Promise((resolve) => (answer = resolve)),
  })
  const leaving = new AbortController()
  const left = refs.list(repositoryFor(), heads, leaving.signal)
  const stayed = refs.list(repositoryFor(), heads)
  await eventually('it is asked', () => sent.length === 1)
  leaving.abort(new Error('the client has left'))
  await t.rejects(left, { message: 'the client has left' })
  t.notOk(sent[0]!.signal.aborted)
  answer(listing(main))
  t.equal(await read(await stayed, heads), packets(main).toString())
  const alone = new AbortController()
  const gone = refs.advertise(repositoryFor(), 0, alone.signal)
  await eventually('it is asked', () => sent.length === 2)
  alone.abort(new Error('the client has left'))
  await t.rejects(gone, { message: 'the client has left' })
  t.ok(sent[1]!.signal.aborted, 'nobody waits for it')
  await eventually('no follower is left', () => cache.followers === 0)
})

t.test('followers are closed, but for those of the caller', async (t) => {
  const { refs, repositoryFor, cache } = await openUpstreamRig(t, { answer: serving(head, main) })
  await refs.verdict(repositoryFor())
  await read(await refs.list(repositoryFor(), {}), {})
  await eventually('none is left', () => cache.followers === 0)
  const { follower } = await refs.advertise(repositoryFor(), 2)
  t.match((await collect(follower)).toString(), /version 2/)
  t.equal(cache.followers, 0)
})

t.test('a repository that has moved is known to', async (t) => {
  const { refs, repositoryFor, answering } = await openUpstreamRig(t, { answer: serving(main) })
  await refs.verdict(repositoryFor())
  t.equal(refs.hasMoved(repositoryFor()), false)
  const redirectedTo = 'http://h/new.git/info/refs?service=git-upload-pack'
  answering.answer = () => ({ ...capabilities(), redirectedTo })
  await refs.advertise(repositoryFor({ authorization: 'a' }), 2)
  t.equal(refs.hasMoved(repositoryFor({ authorization: 'a' })), true)
  t.equal(refs.hasMoved(repositoryFor()), false)
})
