import t from 'tap'
import { HeldLease } from '../../../src/fleet/fills/held-lease.js'
import { VirtualClock } from '../../support/fleet/virtual-clock.js'

const held = { repository: 'r', key: 'k', node: 'a', token: 't', ttlMs: 10_000 }

function rig(limitMs = 300_000) {
  const clock = new VirtualClock()
  const calls: string[] = []
  const answers = { renew: true as boolean | Error, publish: true as boolean | Error }
  const call = (name: 'renew' | 'publish', text: string): Promise<boolean> => {
    calls.push(`${text} at ${clock.now() - 1000}`)
    const answer = answers[name]
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }
  let losers = 0
  const lease = new HeldLease(held, {
    engine: {
      renew: () => call('renew', 'renew'),
      publish: (_held, { kind }) => call('publish', kind),
    },
    ...{ clock, renewMs: 3000, limitMs },
    lost: () => {
      losers++
    },
  })
  return { clock, calls, answers, lease, losers: () => losers }
}

t.test('it is renewed until it is published, once', async (t) => {
  const { clock, calls, lease, losers } = rig()
  await clock.pass(7000)
  await lease.publish({ kind: 'nothing' })
  await lease.publish({ kind: 'nothing' })
  await clock.pass(10_000)
  t.same(calls, ['renew at 3000', 'renew at 6000', 'nothing at 7000'])
  t.equal(losers(), 0)
  t.equal(clock.timers, 0)
})

t.test('it is never held for longer than the limit', async (t) => {
  const { clock, calls } = rig(20_000)
  await clock.pass(100_000)
  t.same(calls, ['renew at 3000', 'renew at 6000', 'renew at 9000'], 'it ends 10 s after the last one')
})

t.test('an engine that is away does not end it', async (t) => {
  const { clock, calls, answers, lease, losers } = rig()
  answers.renew = answers.publish = new Error('away')
  await clock.pass(7000)
  t.equal(lease.isLost, false)
  t.equal(calls.length, 2)
  await lease.publish({ kind: 'nothing' })
  t.equal(losers(), 0)
})

t.test('a lost one is neither renewed nor published, and counted', async (t) => {
  const { clock, calls, answers, lease, losers } = rig()
  answers.renew = false
  await clock.pass(10_000)
  t.equal(lease.isLost, true)
  await lease.publish({ kind: 'nothing' })
  t.same(calls, ['renew at 3000'])
  t.equal(losers(), 1)
  const other = rig()
  other.answers.publish = false
  await other.lease.publish({ kind: 'nothing' })
  t.equal(other.losers(), 1)
})
