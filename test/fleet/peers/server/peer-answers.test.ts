// What a node answers, with a real client and entries of a real cache.
import t from 'tap'
import { PeerRefused, PeerUnreachable, type PeerFault } from '../../../../src/fleet/peers/peer.js'
import {
  answering,
  bytesOfAnswer,
  chunksOf,
  counted,
  createClient,
  growing,
  startServer,
  ToldError,
  unending,
} from '../../../support/fleet/peers.js'
import { pending } from '../../../support/producers.js'
import { sha256 } from '../../../support/sha256.js'

const signal = unending()

t.test('a question is answered while the entry grows', async (t) => {
  const { producer, entry, answer } = await growing(t)
  const asked: unknown[] = []
  const { url, metrics: there } = await startServer(t, (question) => {
    asked.push(question)
    return answer()
  })
  const { client, metrics: here } = createClient(t, url)
  const answered = await client.ask('b', { about: 'refs', list: [1] }, { signal })
  t.strictSame(asked, [{ about: 'refs', list: [1] }])
  const bytes = chunksOf(answered.body)
  producer.push(Buffer.from('first '))
  t.equal(String((await bytes.next()).value), 'first ')
  const second = bytes.next()
  t.ok(await pending(second))
  producer.push(Buffer.from('second')).end()
  t.equal(String((await second).value), 'second')
  t.equal((await bytes.next()).done, true)
  t.strictSame(answered.notes(), {})
  t.notOk(entry.followed)
  t.equal(await counted(here, 'asked', 'ok'), 1)
  t.equal(await counted(there, 'answered', 'ok'), 1)
  for (const metrics of [here, there])
    t.match(await metrics.fleetPeerBytes.get(), { values: [{ value: 12 }] })
})

t.test('age, notes, and unchanged by digest', async (t) => {
  const answer = await answering(t, 'the bytes')
  const digest = sha256('the bytes')
  const { url, metrics: there } = await startServer(t, async () => ({ ...(await answer()), sha256: digest }))
  const { client, metrics: here } = createClient(t, url)
  const all = await client.ask('b', {}, { signal })
  t.equal((await bytesOfAnswer(all)).toString(), 'the bytes')
  t.equal(all.ageMs, 7)
  t.strictSame(all.notes(), { seen: 'all' })
  const same = await client.ask('b', {}, { signal, sha256: digest })
  t.equal(same.body, 'unchanged')
  t.equal(same.ageMs, 7)
  t.strictSame(same.notes(), {})
  const other = await client.ask('b', {}, { signal, sha256: sha256('other bytes') })
  t.equal((await bytesOfAnswer(other)).toString(), 'the bytes')
  t.equal(await counted(here, 'asked', 'unchanged'), 1)
  t.equal(await counted(there, 'answered', 'unchanged'), 1)
})

t.test('a digest that is not that of the bytes: the answer is broken', async (t) => {
  const answer = await answering(t, 'the bytes')
  const { url } = await startServer(t, async () => ({ ...(await answer()), sha256: sha256('other') }))
  const { client, metrics } = createClient(t, url)
  await t.rejects(bytesOfAnswer(await client.ask('b', {}, { signal })), PeerUnreachable)
  t.equal(await counted(metrics, 'asked', 'broken'), 1)
})

t.test('an empty entry is an answer', async (t) => {
  const { url } = await startServer(t, await answering(t))
  const { client } = createClient(t, url)
  t.equal((await bytesOfAnswer(await client.ask('b', {}, { signal }))).length, 0)
})

t.test('errors pass through the codec, refusals do not, before the bytes and among them', async (t) => {
  const { producer, answer } = await growing(t)
  const errors = [new PeerRefused('different', 'another repository'), new Error('it broke')]
  const { url, metrics: there } = await startServer(t, () => {
    const error = errors.shift()
    return error ? Promise.reject(error) : answer()
  })
  const { client, metrics: here } = createClient(t, url)
  const ask = () => client.ask('b', {}, { signal })
  await t.rejects(ask(), new PeerRefused('different', 'another repository'))
  await t.rejects(ask(), new ToldError('test', 'it broke', { of: 'test' }))
  producer.push(Buffer.from('some'))
  const answered = await ask()
  producer.fail(new Error('the producer broke'))
  await t.rejects(bytesOfAnswer(answered), new ToldError('test', 'the producer broke', { of: 'test' }))
  t.equal(await counted(here, 'asked', 'refused'), 1)
  t.equal(await counted(here, 'asked', 'failed'), 2)
  t.equal(await counted(there, 'answered', 'refused'), 1)
  t.equal(await counted(there, 'answered', 'failed'), 2)
})

t.test('an error of any size is told, and notes that are too large are an error', async (t) => {
  const huge = 'x'.repeat(100_000)
  const answer = await answering(t, 'bytes')
  const answers = [
    () => Promise.reject(new Error(huge)),
    async () => ({ ...(await answer()), notes: () => ({ huge }) }),
  ]
  const codec = {
    encode: (error: unknown) => ({ code: 'test', message: (error as Error).message, details: { huge } }),
    decode: ({ code, message, details }: PeerFault) => new ToldError(code, message, details),
  }
  const { url } = await startServer(t, () => answers.shift()!(), { codec })
  const { client } = createClient(t, url)
  const told = { code: 'test', message: 'x'.repeat(4096), details: undefined }
  await t.rejects(client.ask('b', {}, { signal }), told)
  const notes = bytesOfAnswer(await client.ask('b', {}, { signal }))
  await t.rejects(notes, { code: 'test', message: /too many/ })
})

t.test('a codec that fails breaks the answer off', async (t) => {
  const codec = {
    encode: () => {
      throw new Error('the codec broke')
    },
    decode: () => new Error('not asked'),
  }
  const { url } = await startServer(t, () => Promise.reject(new Error('it broke')), { codec })
  const { client } = createClient(t, url)
  await t.rejects(client.ask('b', {}, { signal }), PeerUnreachable)
})

t.test('a message that cannot be taken note of was not heard', async (t) => {
  const hear = (): void => {
    throw new Error('no')
  }
  const { url } = await startServer(t, { hear })
  await t.rejects(createClient(t, url).client.tell({}), PeerUnreachable)
})
