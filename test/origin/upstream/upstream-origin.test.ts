import t from 'tap'
import { collect } from '../../support/producers.js'
import { eventually } from '../../support/eventually.js'
import {
  advertisementType,
  capabilities,
  isAdvertisement,
  listing,
  openBody,
} from '../../support/upstream-answers.js'
import { openUpstreamRig } from '../../support/upstream-rig.js'

const target = { path: 'r.git' }
const id = '1'.repeat(40)
const { signal } = new AbortController()

t.test('what is no answer of Git’s protocol passes through', async (t) => {
  const { origin } = await openUpstreamRig(t, { answer: () => ({ body: `${id}\trefs/heads/main\n` }) })
  t.equal(await origin.advertise(target, 0), undefined)
  t.equal(await origin.listRefs(target, { objectFormat: 'sha1' }), undefined)
  await t.rejects(
    origin.advertiseUncached(target, 0, {}, signal),
    { name: 'NotSmart' },
    'there is nothing to stream',
  )
})

t.test('an upstream takes no configuration', async (t) => {
  const { origin, sent } = await openUpstreamRig(t, { answer: () => capabilities() })
  const overrides = { objectDirectory: 'objects' }
  await t.rejects(origin.advertiseUncached(target, 2, overrides, signal), { name: 'InvalidGitOverrides' })
  t.equal(sent.length, 0)
})

t.test('a stream for one client ends with that client', async (t) => {
  const { origin, cache, answering } = await openUpstreamRig(t, { answer: () => capabilities() })
  const chunks: Buffer[] = []
  for await (const chunk of await origin.advertiseUncached(target, 2, {}, signal)) chunks.push(chunk)
  t.match(Buffer.concat(chunks).toString(), /version 2/)
  answering.answer = () => ({
    headers: { 'Content-Type': advertisementType },
    body: openBody('001e# service=git-upload-pack\n0000'),
  })
  const leaving = new AbortController()
  const stream = await origin.advertiseUncached(target, 0, {}, leaving.signal)
  await t.rejects(
    async () => {
      for await (const chunk of stream) {
        t.ok(chunk)
        leaving.abort(new Error('the client has left'))
      }
    },
    { message: 'the client has left' },
  )
  await eventually('no follower is left', () => cache.followers === 0)
  const left = await origin.advertiseUncached(target, 1, {}, signal)
  for await (const chunk of left) {
    t.ok(chunk)
    break
  }
  await eventually('no follower is left', () => cache.followers === 0)
})

t.test('the client’s credentials and its leaving come with the target', async (t) => {
  const { origin, sent, answering } = await openUpstreamRig(t, {
    answer: (request) => (isAdvertisement(request) ? capabilities() : listing(`${id} refs/heads/main\n`)),
  })
  const reading = await origin.advertise({ ...target, credentials: { authorization: 'mine' } }, 2)
  await collect(reading!.follower)
  t.equal(sent[0]!.headers['Authorization'], 'mine')
  await origin.verdict({ ...target, credentials: { authorization: 'mine' } })
  t.equal(sent.length, 1, 'its verdict is remembered')
  answering.answer = () => new Promise(() => {})
  for (const ask of [
    (client: AbortController) => origin.advertise({ ...target, client }, 0),
    (client: AbortController) => origin.advertise({ ...target, client }, 2),
    (client: AbortController) => origin.listRefs({ ...target, client }),
    (client: AbortController) => origin.verdict({ ...target, client }),
  ]) {
    const client = new AbortController()
    const before = sent.length
    const answer = ask(client)
    await eventually('it is asked', () => sent.length > before)
    client.abort(new Error('the client has left'))
    await t.rejects(
      Promise.resolve<unknown>(answer).then(() => {}),
      { message: 'the client has left' },
    )
    t.ok(sent.at(-1)!.signal.aborted)
  }
})

t.test('a target belongs to an upstream or does not', async (t) => {
  const { origin } = await openUpstreamRig(t, { answer: () => capabilities() })
  t.equal(origin.has(target), true)
  t.equal(origin.has({ path: 'elsewhere/r' }), false)
  t.equal(origin.hasMoved(target), false)
  const notFound = { name: 'RepositoryNotFound' }
  await t.rejects(origin.advertise({ path: 'elsewhere/r' }, 2), notFound)
  await t.rejects(origin.listRefs({ path: 'elsewhere/r' }), notFound)
})
