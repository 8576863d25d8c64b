import t from 'tap'
import { EventEmitter } from 'node:events'
import { status, type handleServerStreamingCall, type StatusObject } from '@grpc/grpc-js'
import { RepositoryExchanged } from '../../src/git/state/reopen-repository.js'
import { answerBy, type CallOptions, type DataCall } from '../../src/grpc/call.js'
import { Overloaded } from '../../src/limits/overloaded.js'
import type { Target } from '../../src/origin/target.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { eventually } from '../support/eventually.js'
import { turns } from '../support/producers.js'

type Work = (call: DataCall<object, string>) => Promise<void>

/** Makes a call that is answered by this work. */
function answer(work: Work, changes: Partial<CallOptions> = {}, deadlineMs = Infinity) {
  /** What happened, in order. */
  const events: string[] = []
  const shed: Overloaded[] = []
  const metrics = new Metrics()
  const options = {
    ...{ metrics, log: createLog('silent'), shed: (why: Overloaded) => shed.push(why) },
    responseStalls: { watch: () => () => {} },
    authorize: async () => {
      events.push('authorize')
      return { identity: 'id' }
    },
    clientOf: () => '192.0.2.1',
    gate: {
      admit: async (request: object) => {
        events.push(`enter ${JSON.stringify(request)}`)
        return () => events.push('leave')
      },
    },
    ...changes,
  } as unknown as CallOptions
  const result: { error?: StatusObject; isEnded: boolean; messages: string[] } = {
    isEnded: false,
    messages: [],
  }
  const stream = Object.assign(new EventEmitter(), {
    request: {},
    getPath: () => '/S/M',
    getDeadline: () => Date.now() + deadlineMs,
    write: (message: string, written: () => void) => {
      result.messages.push(message)
      setImmediate(written)
    },
    end: () => (result.isEnded = true),
  })
  stream.on('error', (error: StatusObject) => (result.error = error))
  const handler = answerBy<object, string>(options, 'advertisement', work) as handleServerStreamingCall<
    unknown,
    unknown
  >
  handler(stream as never)
  const outcome = async (): Promise<unknown> => {
    const values = async () => (await metrics.requests.get()).values
    await eventually('the call is counted', async () => (await values()).length > 0)
    return (await values())[0]?.labels.outcome
  }
  return { events, shed, result, stream, outcome }
}

t.test('a call waits for admission, is authorized, and is answered', async (t) => {
  const targets: Target[] = []
  const { events, result, outcome } = answer(async (call) => {
    await call.run('r.git', async (target) => {
      targets.push(target)
      await call.send('a', 1)
      call.outcome = 'hit'
    })
  })
  t.equal(await outcome(), 'hit')
  t.same(events, ['enter {"group":"r.git","client":"192.0.2.1"}', 'authorize', 'leave'])
  t.match(targets, [{ path: 'r.git', identity: 'id', client: { transport: 'grpc' } }])
  t.equal(targets.length, 1)
  t.same(result, { isEnded: true, messages: ['a'] })
})

t.test('a client without an address takes no client’s share', async (t) => {
  const { events, outcome } = answer((call) => call.run('r.git', async () => {}), { clientOf: () => '' })
  await outcome()
  t.equal(events[0], 'enter {"group":"r.git"}')
})

t.test('a call that is shed is reported, and ends in its status without the work', async (t) => {
  const overloaded = new Overloaded('full', 3)
  const gate = { admit: () => Promise.reject(overloaded) } as unknown as CallOptions['gate']
  const { events, shed, result, outcome } = answer((call) => call.run('r.git', async () => {}), { gate })
  t.equal(await outcome(), 'shed')
  t.same(events, [])
  t.same(shed, [overloaded])
  t.match(result, { isEnded: false, error: { code: status.RESOURCE_EXHAUSTED } })
})

t.test('a call begins anew when its repository is exchanged, before its first byte only', async (t) => {
  for (const [message, rounds] of [
    [undefined, 2],
    ['a', 1],
  ] as const) {
    let count = 0
    const { result, events, outcome } = answer((call) =>
      call.run('r.git', async () => {
        count++
        if (message !== undefined) await call.send(message, 1)
        if (count === 1) throw new RepositoryExchanged()
        call.outcome = 'hit'
      }),
    )
    t.equal(await outcome(), rounds === 2 ? 'hit' : 'error')
    t.equal(count, rounds)
    t.equal(events.filter((event) => event === 'authorize').length, rounds, 'with access checked again')
    t.equal(result.error?.code, rounds === 2 ? undefined : status.UNAVAILABLE)
  }
})

t.test('a call whose client leaves, or whose deadline passes, is aborted without a status', async (t) => {
  for (const deadlineMs of [Infinity, 1]) {
    let aborted = false
    const { stream, result, outcome } = answer(
      async (call) => {
        const left = new Promise<void>((resolve) => call.onAbort(resolve))
        await turns(1)
        if (deadlineMs === Infinity) stream.emit('cancelled')
        await left
        aborted = call.aborted
        t.equal(call.signal.aborted, true)
        t.equal(await call.send('a', 1), false)
        call.throwIfAborted()
      },
      {},
      deadlineMs,
    )
    t.equal(await outcome(), 'aborted')
    t.equal(aborted, true)
    t.same(result, { isEnded: false, messages: [] })
    stream.emit('cancelled')
  }
})

t.test('a call that has ended well is not aborted by the end of its stream', async (t) => {
  const calls: DataCall<object, string>[] = []
  const { stream, outcome } = answer(async (call) => {
    calls.push(call)
    call.outcome = 'joined'
  })
  t.equal(await outcome(), 'joined')
  stream.emit('cancelled')
  t.equal(calls[0]?.aborted, false)
})
