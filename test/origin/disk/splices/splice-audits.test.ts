import t from 'tap'
import { SpliceAudits, type Spliced } from '../../../../src/origin/disk/splices/splice-audits.js'
import { SpliceReports } from '../../../../src/origin/disk/splices/splice-reports.js'
import type { Entry } from '../../../../src/streamcache/index.js'
import { Metrics } from '../../../../src/telemetry/metrics.js'
import { counted } from '../../../support/counted.js'
import { FakeClock } from '../../../support/fake-clock.js'

const quietMs = 10_000

interface Rig {
  readonly clock: FakeClock
  readonly audits: SpliceAudits
  readonly reports: SpliceReports
  readonly logged: unknown[]
  readonly verdicts: () => Promise<Record<string, number>>
}

function makeRig(): Rig {
  const clock = new FakeClock()
  const metrics = new Metrics()
  const logged: unknown[] = []
  const log = { error: (...args: unknown[]) => void logged.push(args) }
  const reports = new SpliceReports({ enabled: true, metrics, log: log as never })
  const verdicts = async (): Promise<Record<string, number>> => {
    const values = await counted(metrics.spliceAudits)
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.verdict), value]))
  }
  return { clock, reports, logged, audits: new SpliceAudits(reports, clock), verdicts }
}

/** A splice with these bytes, of a repository whose listing is `listed`. */
function splice(
  bytes: string,
  listed = bytes,
  {
    token = 't',
    key = 'listing sha1 /r.git',
    isCurrent = () => true,
    wait,
  }: { token?: string; key?: string; isCurrent?: () => boolean; wait?: Promise<void> } = {},
): Spliced & { readonly audited: () => number; readonly dropped: () => number } {
  let audited = 0
  let dropped = 0
  const read = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from(bytes)
  }
  const entry = {
    key,
    token: 't',
    load: () => true,
    follow: () => Object.assign(read(), { close: () => {} }),
  } as unknown as Entry
  return {
    ...{ kind: 'listing', entry, gitDir: '/r.git', isCurrent },
    observe: () => Promise.resolve({ token, unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity }),
    list: async function* () {
      audited++
      await wait
      yield Buffer.from(listed)
    },
    drop: () => dropped++,
    audited: () => audited,
    dropped: () => dropped,
  }
}

t.test('the first splices of a key are audited, and then one of two hundred', async (t) => {
  const { audits, verdicts } = makeRig()
  const all = Array.from({ length: 400 }, () => splice('same'))
  for (const each of all) {
    audits.made(each)
    await audits.idle()
  }
  const which = all.flatMap((each, index) => (each.audited() > 0 ? [index + 1] : []))
  t.strictSame(which, [1, 2, 3, 200, 400])
  t.strictSame(await verdicts(), { equal: 5 })
})

t.test('the last splice of a busy spell is audited', async (t) => {
  const { audits, clock } = makeRig()
  for (let count = 0; count < 3; count++) audits.made(splice('same'))
  await audits.idle()
  const early = splice('same')
  const last = splice('same')
  audits.made(early)
  clock.advance(quietMs / 2)
  audits.made(last)
  clock.advance(2 * quietMs)
  await audits.idle()
  t.equal(early.audited(), 0, 'another one came after it')
  t.equal(last.audited(), 1)
  t.equal(clock.timers, 0, 'no timer is left')
})

t.test('a difference drops what was made, switches splicing off, and is logged', async (t) => {
  const { audits, reports, logged, verdicts } = makeRig()
  const wrong = splice('0010one\n', '0010two\n')
  t.ok(reports.isOn('/r.git'))
  audits.made(wrong)
  await audits.idle()
  t.strictSame(await verdicts(), { different: 1 })
  t.equal(wrong.dropped(), 1)
  t.notOk(reports.isOn('/r.git'))
  t.ok(reports.isOn('/other.git'))
  t.match(logged, [[{ repository: '/r.git', offset: 4, spliced: '0010one', listed: '0010two' }]])
})

t.test('a state that has changed meanwhile is no difference', async (t) => {
  const { audits, reports, verdicts, clock } = makeRig()
  const moved = splice('old', 'new', { token: 'another' })
  audits.made(moved)
  await audits.idle()
  t.equal(moved.audited(), 0, 'Git is not run for it')
  t.strictSame(await verdicts(), { inconclusive: 1 })
  t.ok(reports.isOn('/r.git'))
  clock.advance(2 * quietMs)
  await audits.idle()
  clock.advance(2 * quietMs)
  await audits.idle()
  clock.advance(2 * quietMs)
  await audits.idle()
  t.strictSame(await verdicts(), { inconclusive: 3 }, 'it is given up after some tries')
  t.equal(clock.timers, 0)
})

t.test('one that was superseded is not tried again', async (t) => {
  const { audits, clock } = makeRig()
  audits.made(splice('old', 'new', { isCurrent: () => false }))
  await audits.idle()
  t.equal(clock.timers, 0)
})

t.test('no more than a thousand wait for an audit, and the others are audited later', async (t) => {
  const { audits, clock, verdicts } = makeRig()
  let go = (): void => {}
  const wait = new Promise<void>((resolve) => (go = resolve))
  const all = Array.from({ length: 1502 }, (_, number) => splice('same', 'same', { key: `${number}`, wait }))
  for (const each of all) audits.made(each)
  go()
  await audits.idle()
  // One was running.
  t.strictSame(
    all.flatMap((each, index) => (each.audited() === 0 ? [index] : [])),
    Array.from({ length: 501 }, (_, index) => 1001 + index),
  )
  clock.advance(2 * quietMs)
  await audits.idle()
  t.ok(all.every((each) => each.audited() === 1))
  t.strictSame(await verdicts(), { equal: 1502 })
  t.equal(clock.timers, 0)
})

t.test('nothing happens after the end', async (t) => {
  const { audits, clock } = makeRig()
  for (let count = 0; count < 4; count++) audits.made(splice('same'))
  audits.close()
  await audits.idle()
  t.equal(clock.timers, 0)
  audits.made(splice('same'))
  t.equal(clock.timers, 0)
})
