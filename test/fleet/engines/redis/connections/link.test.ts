import t from 'tap'
import type { RedisConnection } from '../../../../../src/fleet/engines/redis/connections/connection.js'
import { RedisLink, RedisUnreachable } from '../../../../../src/fleet/engines/redis/connections/link.js'
import { FakeClock } from '../../../../support/fake-clock.js'

/** A connection that the test answers. */
class FakeConnection implements RedisConnection {
  readonly sent: string[][] = []
  readonly ended: Promise<Error>
  #end!: (error: Error) => void
  #answers: ((error: Error | undefined, answer?: unknown) => void)[] = []

  constructor() {
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  send(command: readonly string[]): Promise<unknown> {
    this.sent.push([...command])
    return new Promise((resolve, reject) =>
      this.#answers.push((error, answer) => (error ? reject(error) : resolve(answer))),
    )
  }

  subscribe(): Promise<void> {
    return Promise.resolve()
  }

  answer(error: Error | undefined, answer?: unknown): void {
    this.#answers.shift()!(error, answer)
  }

  destroy(error = new Error('closed')): void {
    this.#end(error)
    for (const answer of this.#answers.splice(0)) answer(error)
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

function makeLink() {
  const clock = new FakeClock()
  const made: FakeConnection[] = []
  const changes: (string | undefined)[] = []
  const state = { isRefusing: false, attempts: 0 }
  const link = new RedisLink({
    connect: () => {
      state.attempts++
      if (state.isRefusing) return Promise.reject(new Error('refused'))
      made.push(new FakeConnection())
      return Promise.resolve(made.at(-1)!)
    },
    changed: (error) => changes.push(error?.message),
    ...{ clock, random: () => 0.999, answerMs: 5000 },
  })
  return { clock, made, changes, state, link }
}

t.test('commands are answered', async (t) => {
  const { link, made, changes } = makeLink()
  await t.rejects(link.send(['A']), RedisUnreachable, 'not connected yet')
  await link.attempted
  t.same(changes, [undefined])
  const answer = link.send(['A'], ['B'])
  t.same(made[0]!.sent, [['A'], ['B']])
  made[0]!.answer(undefined, 1)
  made[0]!.answer(undefined, 2)
  t.equal(await answer, 2)
  link.close()
})

t.test('attempts come at growing intervals', async (t) => {
  const { clock, state, link, made } = makeLink()
  await link.attempted
  state.isRefusing = true
  made[0]!.destroy()
  await turns()
  const waits: number[] = []
  for (let wait = 0; waits.length < 8; wait++) {
    const before = state.attempts
    clock.advance(1)
    await turns()
    if (state.attempts > before) {
      waits.push(wait + 1)
      wait = -1
    }
  }
  t.same(waits, [50, 100, 200, 400, 800, 1600, 1999, 1999])
  link.close()
})

t.test('a connection that does not answer is given up', async (t) => {
  const { clock, link, made, changes } = makeLink()
  await link.attempted
  const answer = link.send(['A'])
  clock.advance(4999)
  const other = link.send(['B'])
  clock.advance(1)
  await t.rejects(answer, /not answered within 5000 ms/)
  await t.rejects(other, /not answered/, 'all that it owed are rejected')
  await turns()
  t.match(changes, [undefined, /not answered/])
  clock.advance(100)
  await turns()
  t.equal(made.length, 2)
  t.equal(link.isConnected, true)
  link.close()
})

t.test('a connection on which nothing is asked is tried', async (t) => {
  const { clock, link, made } = makeLink()
  await link.attempted
  for (let pings = 1; pings <= 3; pings++) {
    clock.advance(5000)
    await turns()
    t.same(made[0]!.sent.length, pings)
    t.same(made[0]!.sent.at(-1), ['PING'])
    if (pings < 3) made[0]!.answer(undefined, 'PONG')
    await turns()
  }
  clock.advance(5000)
  await turns()
  t.equal(link.isConnected, false)
  link.close()
  await turns()
  t.equal(clock.timers, 0)
})

t.test('a server that is no master any more is left', async (t) => {
  const { link, made } = makeLink()
  await link.attempted
  const answers = [link.send(['A']), link.send(['B'])]
  made[0]!.answer(new Error('ERR wrong'))
  await t.rejects(answers[0]!, /wrong/)
  t.equal(link.isConnected, true, 'another error is the command’s own')
  made[0]!.answer(new Error("READONLY You can't write against a read only replica."))
  await t.rejects(answers[1]!, /READONLY/)
  await turns()
  t.equal(link.isConnected, false)
  link.close()
})

t.test('a link that is closed', async (t) => {
  const { link, made, state, clock, changes } = makeLink()
  await link.attempted
  const answer = link.send(['A'])
  link.close()
  await t.rejects(answer, /closed/)
  await t.rejects(link.send(['A']), /closed/)
  await turns()
  clock.advance(60_000)
  await turns()
  t.equal(state.attempts, 1)
  t.equal(made.length, 1)
  t.same(changes, [undefined])
  t.equal(clock.timers, 0)

  const early = makeLink()
  early.link.close()
  await turns()
  t.equal(early.link.isConnected, false, 'while it was connecting')
  await t.resolves(early.made[0]!.ended)
})
