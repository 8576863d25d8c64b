import t from 'tap'
import type { SharedQuestion } from '../../../src/fleet/fills/shared-fill.js'
import { FillFailedElsewhere } from '../../../src/fleet/fill-failed-elsewhere.js'
import { PeerRefused, PeerSilent, PeerUnreachable, type PeerAnswer } from '../../../src/fleet/peers/peer.js'
import { VirtualFleet, type VirtualNode } from '../../support/fleet/virtual-node.js'
import { idle } from '../../support/fleet/virtual-clock.js'

type Body = AsyncIterable<Buffer> | 'unchanged'
type Question = SharedQuestion<Body>

const empty = Buffer.alloc(0)

/** Returns a body of these chunks; an error is thrown, a promise waited for. */
async function* bodyOf(...items: (string | Error | Promise<void>)[]): AsyncGenerator<Buffer> {
  for (const item of items) {
    if (item instanceof Error) throw item
    if (typeof item === 'string') yield Buffer.from(item)
    else await item
  }
}

async function read(body: Body): Promise<string> {
  if (body === 'unchanged') return body
  let text = ''
  for await (const chunk of body) text += chunk.toString()
  return text
}

async function rig() {
  const fleet = new VirtualFleet()
  const { clock } = fleet
  const unused = () => bodyOf(new Error('not used'))
  const [a, b] = [await fleet.add('a', unused), await fleet.add('b', unused)]
  const stop = new AbortController()
  const asked: string[] = []
  let borrowed = 0
  const question = (node: VirtualNode, answer: () => Body, more: Partial<Question> = {}): Question => ({
    ...{ repository: 'r.git', key: 'listing r.git', question: { of: node.name }, fromPeer: false },
    ...{ sha256: undefined, signal: stop.signal },
    ask: async () => {
      asked.push(node.name)
      return answer()
    },
    borrowed: () => {
      borrowed++
    },
    ...more,
  })
  /** Is the lease of the key free? */
  const isFree = async (): Promise<boolean> => {
    await idle()
    const claim = { ...a.keyDigests, state: undefined, ttlMs: 1, node: 'x' }
    const answer = await fleet.engine.claim(claim)
    if (answer.kind === 'granted') await fleet.engine.publish({ ...claim, ...answer }, { kind: 'nothing' })
    return answer.kind === 'granted'
  }
  const close = () => Promise.all([a, b].map((node) => (node.fills.close(), node.gate.close())))
  const counts = () => ({ asked: asked.join(''), borrowed })
  return { fleet, clock, a, b, stop, question, isFree, close, counts }
}

/** Has a node's questions to others answered in turn by these. */
function answering(node: VirtualNode, ...answers: (Partial<PeerAnswer> | Error)[]): unknown[] {
  const seen: unknown[] = []
  node.ask = async (name, _question, { sha256 }: { sha256?: string | undefined; signal: AbortSignal }) => {
    seen.push({ name, sha256 })
    const answer = answers.shift() ?? new Error('asked too often')
    if (answer instanceof Error) throw answer
    return { body: 'unchanged', ageMs: 0, notes: () => ({}), ...answer }
  }
  return seen
}

t.test('the lease of a question is held until its body has ended', async (t) => {
  const { a, question, isFree, close, counts } = await rig()
  const whole = await a.fills.ask(question(a, () => bodyOf('one', 'two')))
  t.equal(whole.ageMs, 0)
  t.equal(await isFree(), false)
  t.equal(await read(whole.answer), 'onetwo')
  t.equal(await isFree(), true)
  t.same(counts(), { asked: 'a', borrowed: 0 })
  t.match(a.counted.counts, { 'claims.granted': 1 })
  await close()
})

t.test(
  'it ends too if the body fails, is returned early or never read, and if nothing changed',
  async (t) => {
    const { a, stop, question, isFree, close } = await rig()
    const broken = await a.fills.ask(question(a, () => bodyOf('one', new Error('reset'))))
    await t.rejects(read(broken.answer), /reset/)
    t.equal(await isFree(), true, 'failed')
    let returned = false
    const source: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: empty }),
        return: () => {
          returned = true
          return Promise.resolve({ done: true, value: undefined })
        },
      }),
    }
    const early = await a.fills.ask(question(a, () => source))
    t.not(early.answer, 'unchanged')
    if (early.answer !== 'unchanged') await early.answer[Symbol.asyncIterator]().return?.()
    t.equal(returned, true)
    t.equal(await isFree(), true, 'returned before it was read')
    const { answer } = await a.fills.ask(question(a, () => 'unchanged'))
    t.equal(answer, 'unchanged')
    t.equal(await isFree(), true, 'unchanged')
    await t.rejects(
      a.fills.ask(
        question(a, () => {
          throw new Error('refused')
        }),
      ),
      /refused/,
    )
    t.equal(await isFree(), true, 'not answered')
    await a.fills.ask(question(a, () => bodyOf('one')))
    t.equal(await isFree(), false)
    stop.abort(new Error('the clients have left'))
    t.equal(await isFree(), true, 'aborted')
    await t.rejects(a.fills.ask(question(a, () => bodyOf('one'))), /have left/)
    t.equal(await isFree(), true)
    await close()
  },
)

t.test('a question that another node asks is put to that node', async (t) => {
  const { clock, a, b, question, close, counts } = await rig()
  await a.fills.ask(question(a, () => bodyOf('one')))
  const seen = answering(b, { body: bodyOf('', 'bor', 'rowed'), ageMs: 700 }, { ageMs: 300 })
  const first = await clock.until(b.fills.ask(question(b, () => 'unchanged', { sha256: 'abc' })))
  t.equal(first.ageMs, 700)
  t.equal(await read(first.answer), 'borrowed')
  const second = await clock.until(b.fills.ask(question(b, () => 'unchanged', { sha256: 'abc' })))
  t.same(second, { answer: 'unchanged', ageMs: 300 })
  t.same(seen, [
    { name: 'a', sha256: 'abc' },
    { name: 'a', sha256: 'abc' },
  ])
  t.same(counts(), { asked: 'a', borrowed: 2 })
  t.match(b.counted.counts, { 'claims.held': 2, 'borrowed.peer': 2 })
  await t.rejects(b.fills.ask(question(b, () => 'unchanged', { fromPeer: true })), PeerRefused)
  await close()
})

t.test('a node that fails before the first byte is replaced, and its lease taken', async (t) => {
  const { clock, a, b, question, isFree, close, counts } = await rig()
  await a.fills.ask(question(a, () => bodyOf('one')))
  answering(b, { body: bodyOf('', new PeerUnreachable('a')), ageMs: 900 })
  const answer = await clock.until(b.fills.ask(question(b, () => bodyOf('own'))))
  t.equal(answer.ageMs, 0, 'the age is that of the answer that came')
  t.equal(await isFree(), false)
  t.equal(await read(answer.answer), 'own')
  t.equal(await isFree(), true)
  t.same(counts(), { asked: 'ab', borrowed: 1 })
  t.equal(b.counted.counts['takeovers.unreachable'], 1)
  await close()
})

t.test('one that is silent is outwaited: until its question ends, or its time limit', async (t) => {
  const { clock, a, b, question, close } = await rig()
  const held = await a.fills.ask(question(a, () => bodyOf('one')))
  answering(b, new PeerSilent('a'), new PeerSilent('a'))
  const waiting = b.fills.ask(question(b, () => bodyOf('own')))
  await clock.pass(5500)
  const ended = clock.now()
  await read(held.answer)
  t.equal(await read((await clock.until(waiting)).answer), 'own')
  t.ok(clock.now() - ended < 50, 'a hint has told')
  await a.fills.ask(question(a, () => bodyOf('one')))
  a.reached.reach = 'cut'
  const stopped = clock.now()
  const after = await clock.until(b.fills.ask(question(b, () => 'unchanged')))
  t.equal(after.answer, 'unchanged')
  t.ok(clock.now() - stopped > 5000 && clock.now() - stopped < 11_500)
  await close()
})

t.test(
  'what breaks after the first byte is an error, as are the errors that the other node has told',
  async (t) => {
    const { clock, a, b, question, close, counts } = await rig()
    await a.fills.ask(question(a, () => bodyOf('one')))
    answering(b, { body: bodyOf('bor', new PeerUnreachable('a')) }, new Error('401'))
    const { answer } = await clock.until(b.fills.ask(question(b, () => bodyOf('own'))))
    await t.rejects(read(answer), PeerUnreachable)
    await t.rejects(clock.until(b.fills.ask(question(b, () => bodyOf('own')))), /401/)
    t.same(counts().asked, 'a')
    t.equal(b.counted.counts['borrowed.peer'], undefined)
    await close()
  },
)

t.test('a failure in force is answered; without an engine the origin is asked', async (t) => {
  const { fleet, a, question, close } = await rig()
  const claim = { ...a.keyDigests, state: undefined, ttlMs: 1000, node: 'x' }
  const granted = await fleet.engine.claim(claim)
  if (granted.kind === 'granted') {
    const failure = { state: undefined, attempt: 2, code: 'unavailable', message: 'away' }
    await fleet.engine.publish({ ...claim, ...granted }, { kind: 'failure', failure, ttlMs: 5000 })
  }
  await t.rejects(a.fills.ask(question(a, () => 'unchanged')), FillFailedElsewhere)
  a.reached.reach = 'away'
  t.equal(await read((await a.fills.ask(question(a, () => bodyOf('own')))).answer), 'own')
  await close()
})
