import t from 'tap'
import { parseFetch } from '../../../src/git/protocol/fetch-request.js'
import { parsed, sha1, sha256, sideBand, v0 } from '../../support/fetch-requests.js'

t.test('v0 and v1: a request ends in done, in a flush packet after haves, or after the limits', (t) => {
  const want = `${sideBand} agent=git/2`
  for (const [lines, endsInFlush] of [
    [[want, '', 'done\n'], true],
    [[want, `want ${sha1}\n`, '', `have ${sha1}\n`, 'done'], true],
    [[want, 'deepen 1', ''], true],
    [[want, `shallow ${sha1}`, 'deepen-since 5', 'deepen-not main', ''], true],
    [[want, 'deepen 1', '', 'done'], true],
    [[want, '', `have ${sha1}`, `have ${sha1}`, ''], false],
    [[`${want} filter\n`, 'filter blob:none', '', `have ${sha1}`, ''], false],
    [[`want ${sha1} side-band\n`, '', 'done'], true],
    [[`want ${sha1}  multi_ack_detailed no-done side-band thin-pack ofs-delta \n`, '', 'done'], true],
  ] as const) {
    for (const version of [0, 1] as const) {
      const body = v0(...lines)
      const expected = { version, objectFormat: 'sha1', dependsOn: 'refs', endsInFlush }
      t.match(parsed(body, version), expected, lines.join())
    }
  }
  const wide = v0(
    `want ${sha256} side-band-64k object-format=sha256 agent=x`,
    `shallow ${sha256}`,
    '',
    'done',
  )
  t.match(parsed(wide, 0), { objectFormat: 'sha256' })
  t.end()
})

t.test('v0: what is not known here, or has no side-band, is for Git', (t) => {
  for (const [lines, reason] of [
    [[`${sideBand} push-cert`, '', 'done'], 'arguments'],
    [[`${sideBand} object-format=sha256`, '', 'done'], 'arguments'],
    [[sideBand, `want ${sha1} object-format=sha256`, '', 'done'], 'arguments'],
    [[`${sideBand} thin-pack=1`, '', 'done'], 'arguments'],
    [[sideBand, 'server-option x', '', 'done'], 'arguments'],
    [[sideBand, 'deepen-not ORIG_HEAD', ''], 'arguments'],
    [[`want ${sha1} multi_ack`, '', 'done'], 'raw'],
    [[`want ${sha1}`, '', 'done'], 'raw'],
    [[], 'malformed'],
    [[''], 'malformed'],
    [[sideBand], 'malformed'],
    [[sideBand, ''], 'malformed'],
    [[sideBand, `shallow ${sha1}`, ''], 'malformed'],
    [['', 'done'], 'malformed'],
    [['deepen 1', '', 'done'], 'malformed'],
    [[sideBand, 'deepen 1', 'deepen-since 2', ''], 'malformed'],
    [[sideBand, 'filter blob:none', '', 'done'], 'malformed'],
    [[sideBand, 'deepen 0', '', 'done'], 'malformed'],
    [[sideBand, `have ${sha1}`, '', 'done'], 'malformed'],
    [[sideBand, '', `have ${sha1}`], 'malformed'],
    [[sideBand, 'deepen 1', '', `have ${sha1}`], 'malformed'],
    [[sideBand, '', `have ${sha1}x`, 'done'], 'malformed'],
    [[sideBand, '', `want ${sha1}`, 'done'], 'malformed'],
    [[sideBand, '', `have ${sha1}`, '', 'done'], 'malformed'],
    [[sideBand, '', 'done', 'done'], 'malformed'],
    [[sideBand, `want ${sha256}`, '', 'done'], 'malformed'],
    [[`want ${sha256} side-band`, `want ${sha1}`, '', 'done'], 'malformed'],
    [[`shallow ${sha256}`, `want ${sha256} side-band`, '', 'done'], 'malformed'],
    [[`want ${sha1}side-band`, '', 'done'], 'malformed'],
    [[`want ${sha1.slice(1)} side-band`, '', 'done'], 'malformed'],
    [[`want ${sha1} agent=x\tside-band`, '', 'done'], 'malformed'],
    [[`want ${sha1} side-band\0agent=x`, '', 'done'], 'malformed'],
  ] as const) {
    t.equal(parseFetch(v0(...lines), 0), reason, lines.join())
  }
  t.end()
})

t.test('v0: capabilities are read up to a number', (t) => {
  const many = (count: number): string => `${sideBand}${' thin-pack'.repeat(count - 1)}`
  t.type(parseFetch(v0(many(256), '', 'done'), 0), 'object')
  t.equal(parseFetch(v0(many(257), '', 'done'), 0), 'arguments')
  t.equal(parseFetch(v0(many(200), many(200), '', 'done'), 0), 'arguments')
  t.end()
})
