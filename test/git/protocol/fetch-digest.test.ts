import t from 'tap'
import { equal } from 'node:assert'
import fc from 'fast-check'
import { parseFetch } from '../../../src/git/protocol/fetch-request.js'
import { flushPacket } from '../../../src/git/protocol/pkt-line.js'
import type { ProtocolVersion } from '../../../src/git/protocol/version.js'
import { parsed, sha1, sideBand, v0, v2 } from '../../support/fetch-requests.js'

const digest = (body: Buffer, version?: ProtocolVersion): string => parsed(body, version).digest

t.test('agents and session ids do not make a digest another', (t) => {
  const lines = [`want ${sha1}`, 'done']
  const base = digest(v2(['object-format=sha1'], lines))
  t.equal(digest(v2(['agent=git/2.39.5', 'object-format=sha1'], lines)), base)
  t.equal(digest(v2(['object-format=sha1', 'agent=JGit/6 (x y)\n'], lines)), base)
  t.not(digest(v2([], lines)), base)
  const withSession = digest(v2(['session-id=a', 'object-format=sha1'], lines))
  t.equal(digest(v2(['agent=a', 'session-id=b\n', 'object-format=sha1'], lines)), withSession)
  // Git refuses a session id that it did not ask for.
  t.not(withSession, base)

  const v0Base = digest(v0(`${sideBand} thin-pack\n`, `want ${sha1} thin-pack`, '', 'done'), 0)
  for (const [first, second] of [
    [`${sideBand} thin-pack agent=git/1\n`, `want ${sha1} thin-pack`],
    [`${sideBand} agent=git/1 thin-pack session-id=5\n`, `want ${sha1} agent=x thin-pack`],
    [`want ${sha1} session-id= side-band-64k agent=x agent=y thin-pack\n`, `want ${sha1} thin-pack`],
  ] as const) {
    t.equal(digest(v0(first, second, '', 'done'), 0), v0Base, first)
  }
  for (const first of [
    sideBand,
    `${sideBand} thin-pack`,
    `${sideBand} thin-pack \n`,
    `want ${sha1} thin-pack side-band-64k\n`,
  ]) {
    t.not(digest(v0(first, `want ${sha1} thin-pack`, '', 'done'), 0), v0Base, first)
  }
  t.not(
    digest(v0(`${sideBand} thin-pack\n`, `want ${sha1} thin-pack`, '', 'done'), 1),
    v0Base,
    'another version',
  )
  t.end()
})

t.test('lines in another order, or with another ending, make another digest', (t) => {
  const requests = [
    v2([], [`want ${sha1}`, 'done']),
    v2([], ['done', `want ${sha1}`]),
    v2([], [`want ${sha1}\n`, 'done']),
    v2([], [`want ${sha1}`, 'done', 'done']),
    v2([], [`want ${sha1}`]),
    v2([], [`want ${sha1}`, `want ${sha1}`, 'done']),
    v2(['object-format=sha1'], [`want ${sha1}`, 'done']),
  ]
  t.equal(new Set(requests.map((request) => digest(request))).size, requests.length)
  t.end()
})

/** A packet's text, and a newline or none. */
const line = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(text, fc.constantFrom('', '\n')).map(([start, end]) => start + end)
const id = fc.constantFrom(sha1, '3'.repeat(40), `${'4'.repeat(39)}a`)
const limit = fc.constantFrom('deepen 1', 'deepen 11', 'shallow ' + sha1, 'filter blob:none')
/** What a digest must not depend on. */
const ownWords = fc.constantFrom('agent=', 'agent=git/2', 'agent=x-0016object-format=sha1')
const sessions = fc.constantFrom('session-id=', 'session-id=2026')

interface Model {
  /** Without what a digest leaves out. */
  readonly essence: string
  readonly body: Buffer
}

/** Requests of protocol v2: the same lines in any order, with agents between the capabilities. */
const modelV2: fc.Arbitrary<Model> = fc
  .record({
    capabilities: fc.subarray(['object-format=sha1', 'object-format=sha1\n'], { maxLength: 1 }),
    agents: fc.array(line(ownWords), { maxLength: 2 }),
    session: fc.option(line(sessions)),
    before: fc.boolean(),
    lines: fc.array(
      line(
        fc.oneof(
          fc.tuple(fc.constantFrom('want', 'have', 'shallow'), id).map((words) => words.join(' ')),
          fc.constantFrom('done', 'thin-pack', 'include-tag', 'want-ref HEAD', 'deepen-not v1', 'ofs-delta'),
          limit,
        ),
      ),
      { maxLength: 6 },
    ),
  })
  .map(({ capabilities, agents, session, before, lines }) => {
    const own = session === null ? agents : [...agents, session]
    const all = before ? [...own, ...capabilities] : [...capabilities, ...own]
    const kept = session === null ? [] : ['session-id']
    const keptInOrder = before ? [...kept, ...capabilities] : [...capabilities, ...kept]
    return { essence: JSON.stringify([keptInOrder, lines]), body: v2(all, lines) }
  })

/** Requests of protocol v0 and v1. */
const modelV0: fc.Arbitrary<Model> = fc
  .record({
    wants: fc.array(
      fc.tuple(
        id,
        fc.array(fc.constantFrom('side-band', 'side-band-64k', 'no-done', 'thin-pack', 'filter', ''), {
          maxLength: 4,
        }),
        fc.array(fc.tuple(fc.nat({ max: 4 }), fc.oneof(ownWords, sessions)), { maxLength: 2 }),
        fc.constantFrom('', '\n'),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    limits: fc.array(line(limit), { maxLength: 2 }),
    haves: fc.array(line(id.map((text) => `have ${text}`)), { maxLength: 3 }),
    ending: fc.constantFrom('', 'done', 'done\n'),
  })
  .map(({ wants, limits, haves, ending }) => {
    const lines = wants.map(([oid, features, own, end]) => {
      const items: string[] = [...features]
      for (const [at, item] of own) items.splice(at, 0, item)
      const text = (words: readonly string[]): string => [`want ${oid}`, ...words].join(' ') + end
      return [text(items), text(features)] as const
    })
    const rest = [...limits, '', ...haves, ending]
    const essence = JSON.stringify([lines.map(([, without]) => without), rest])
    return { essence, body: v0(...lines.map(([sent]) => sent), ...rest) }
  })

for (const [name, model, version] of [
  ['v2', modelV2, 2],
  ['v0', modelV0, 0],
  ['v1', modelV0, 1],
] as const) {
  t.test(
    `${name}: digests are equal if and only if requests differ in nothing but agents and session ids`,
    (t) => {
      const byDigest = new Map<string, string>()
      const byEssence = new Map<string, string>()
      const property = fc.property(model, ({ essence, body }) => {
        const result = parseFetch(body, version)
        if (typeof result === 'string') return
        t.equal(byDigest.get(result.digest) ?? essence, essence)
        t.equal(byEssence.get(essence) ?? result.digest, result.digest)
        byDigest.set(result.digest, essence)
        byEssence.set(essence, result.digest)
      })
      fc.assert(property, { numRuns: 1000 })
      t.ok(byDigest.size > 100, `${byDigest.size} requests`)
      t.end()
    },
  )

  t.test(`${name}: a request that is cut, or that goes on, is none`, (t) => {
    const property = fc.property(model, fc.nat(), fc.uint8Array({ minLength: 1 }), ({ body }, cut, more) => {
      if (typeof parseFetch(body, version) === 'string') return
      const start = body.subarray(0, cut % body.length)
      const result = parseFetch(start, version)
      // A request for a list of shallow commits ends in the first of the flush packets.
      const isWhole = version !== 2 && typeof result === 'object' && start.subarray(-4).equals(flushPacket)
      equal(isWhole || typeof result === 'string', true)
      const longer = parseFetch(Buffer.concat([body, more]), version)
      equal(typeof longer, 'string')
    })
    fc.assert(property, { numRuns: 1000 })
    t.pass('none was accepted')
    t.end()
  })
}
