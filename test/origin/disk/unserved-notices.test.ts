import t from 'tap'
import fc from 'fast-check'
import { UnservedNotices, type UnservedReason } from '../../../src/origin/disk/unserved-notices.js'

interface Line {
  readonly path: string
  readonly reason: UnservedReason
  readonly detail?: string
  readonly leftOut?: number
}

function setUp(options: { perMinute?: number; max?: number } = {}) {
  const lines: (Line & { readonly msg: string })[] = []
  const clock = { now: 0 }
  const log = { warn: (line: Line, msg: string) => lines.push({ ...line, msg }) }
  const notices = new UnservedNotices({ log: log as never, now: () => clock.now, ...options })
  return { notices, lines, clock }
}

const reasons: UnservedReason[] = ['not-exported', 'outside-root', 'unreadable', 'nested']

t.test('a notice is logged once for each repository and reason, with what to do', async (t) => {
  const { notices, lines, clock } = setUp()
  for (let round = 0; round < 3; round++) {
    for (const reason of reasons) notices.tell('r.git', reason, 'EACCES')
    notices.tell('other.git', 'not-exported')
    clock.now += 3_600_000
  }
  t.equal(lines.length, 5)
  t.match(lines[0], {
    path: 'r.git',
    reason: 'not-exported',
    detail: 'EACCES',
    msg: /git-daemon-export-ok.*--export-all/,
  })
  t.match(lines[1], { msg: /outside of the root/ })
  t.match(lines[2], { msg: /cannot be read/ })
  t.match(lines[3], { msg: /as .git, which Git would use/ })
  t.strictSame(Object.keys(lines[4]!), ['path', 'reason', 'msg'])
})

t.test('a flood of names gives few lines, and the others are counted and logged later', async (t) => {
  const { notices, lines, clock } = setUp({ perMinute: 3 })
  for (let index = 0; index < 1000; index++) notices.tell(`${index % 100}.git`, 'not-exported')
  t.equal(lines.length, 3)
  clock.now += 60_000
  notices.tell('7.git', 'not-exported')
  t.match(lines[3], { path: '7.git', leftOut: 970 })
  notices.tell('8.git', 'not-exported')
  t.notOk('leftOut' in lines[4]!)
})

t.test('a repository that was served in between is logged again', async (t) => {
  const { notices, lines } = setUp()
  notices.served('r.git')
  notices.tell('r.git', 'unreadable')
  notices.served('other.git')
  notices.tell('r.git', 'unreadable')
  t.equal(lines.length, 1)
  notices.served('r.git')
  notices.tell('r.git', 'unreadable')
  t.equal(lines.length, 2)
})

t.test(
  'there are never more lines than allowed, and never the same one twice while it is remembered',
  async (t) => {
    const step = fc.record({
      path: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      reason: fc.constantFrom(...reasons),
      wait: fc.nat(40_000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, perMinute) => {
        const { notices, lines, clock } = setUp({ perMinute })
        const at: number[] = []
        for (const { path, reason, wait } of steps) {
          clock.now += wait
          const before = lines.length
          notices.tell(path, reason)
          if (lines.length > before) at.push(clock.now)
        }
        t.equal(new Set(lines.map(({ path, reason }) => `${path} ${reason}`)).size, lines.length)
        // Windows are fixed: across the border of two there may be twice as many.
        for (const from of at)
          t.ok(at.filter((time) => time >= from && time < from + 60_000).length <= 2 * perMinute)
      }),
      { numRuns: 100 },
    )
    const { notices, lines } = setUp({ perMinute: 1e9, max: 10 })
    for (let index = 0; index < 100; index++) notices.tell(`${index}`, 'unreadable')
    t.equal(lines.length, 100, 'memory is bounded: what was forgotten may be told again')
  },
)
