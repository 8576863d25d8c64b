import t from 'tap'
import { parseFetch } from '../../../src/git/protocol/fetch-request.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import { delimiter, parsed, sha1, sha256, v2 } from '../../support/fetch-requests.js'

t.test('v2: what the answer depends on', (t) => {
  const want = `want ${sha1}\n`
  for (const [lines, dependsOn] of [
    [[want, 'done\n'], 'objects'],
    [[want, 'thin-pack', 'no-progress', 'ofs-delta', 'deepen 1', 'done'], 'objects'],
    [[want, `have ${sha1}\n`, `shallow ${sha1}`, 'deepen 2147483647', 'deepen-relative'], 'objects'],
    [[want, 'deepen-since 0', 'filter blob:none', 'sideband-all'], 'objects'],
    [['wait-for-done', `have ${sha1}`], 'objects'],
    [[want, 'include-tag'], 'tags'],
    [[want, 'include-tag', 'deepen-not v1.0'], 'refs'],
    [['want-ref refs/heads/main', 'include-tag'], 'refs'],
    [['want-ref HEAD\n'], 'refs'],
  ] as const) {
    const body = v2(['agent=git/2.39.5', 'object-format=sha1'], lines)
    t.match(parsed(body), { version: 2, objectFormat: 'sha1', dependsOn, endsInFlush: true }, lines.join())
    t.equal(parsed(body).body, body)
  }
  t.match(parsed(v2([], [want])), { objectFormat: 'sha1' })
  t.match(parsed(v2(['object-format=sha256'], [`want ${sha256}`])), { objectFormat: 'sha256' })
  t.end()
})

t.test('v2: what is not known here is for Git', (t) => {
  for (const body of [
    ...['server-option=a', 'promisor-remote=x', 'agent', 'object-format=md5', 'ls-refs'].map((capability) =>
      v2([capability], [`want ${sha1}`]),
    ),
    ...[
      'packfile-uris https',
      'peel',
      'deepen-from 1',
      'done ',
      'want-ref ORIG_HEAD',
      'deepen-not FETCH_HEAD',
    ].map((line) => v2([], [`want ${sha1}`, line])),
    ...['worktrees/a/HEAD', 'main-worktree/HEAD', 'modules/a/HEAD'].map((name) =>
      v2([], [`want ${sha1}`, `deepen-not ${name}`]),
    ),
  ]) {
    t.equal(parseFetch(body, 2), 'arguments', body.toString())
  }
  t.end()
})

t.test('v2: filters that depend on objects are known, names of revisions are not', (t) => {
  const filtered = (spec: string, format = 'sha1') =>
    parseFetch(
      v2([`object-format=${format}`], [`want ${format === 'sha1' ? sha1 : sha256}`, `filter ${spec}`]),
      2,
    )
  for (const spec of [
    ...['blob:none', 'blob:limit=0', 'blob:limit=10m', 'tree:0', 'tree:12', 'object:type=commit'],
    ...[`sparse:oid=${sha1}`, 'combine:blob:none+tree:3', `combine:sparse:oid=${sha1}+tree:1`],
  ]) {
    t.type(filtered(spec), 'object', spec)
  }
  t.type(filtered(`sparse:oid=${sha256}`, 'sha256'), 'object')
  for (const spec of [
    ...['sparse:oid=main:filter', 'sparse:oid=HEAD', `sparse:oid=${sha1}:a`, `sparse:oid=${sha1.slice(1)}`],
    ...[
      'sparse:path=a',
      'auto',
      'blob:limit=0x10',
      'tree:-1',
      'combine:',
      'combine:blob:none+sparse:oid=main',
      '',
    ],
    ...['combine:sparse%3aoid=main', 'combine:'.padEnd(60_000, 'tree:1+')],
  ]) {
    t.equal(filtered(spec), 'arguments', spec.slice(0, 80))
  }
  t.end()
})

t.test('v2: what Git might refuse, or read otherwise, is for Git', (t) => {
  const want = `want ${sha1}`
  const whole = v2([], [want, 'done'])
  for (const body of [
    ...[Buffer.alloc(0), flushPacket, delimiter, pktLine('command=fetch'), v2([], []), v2([], ['done'])],
    Buffer.concat([pktLine('command=fetch'), flushPacket]),
    Buffer.concat([pktLine('command=ls-refs'), delimiter, pktLine(want), flushPacket]),
    Buffer.concat([pktLine('agent=git'), pktLine('command=fetch'), delimiter, pktLine(want), flushPacket]),
    ...[Buffer.concat([whole, flushPacket]), Buffer.concat([whole, Buffer.from('x')])],
    ...['0001', '0002', '0003', '0004', 'fff0', 'FFF0', '001', ' 009'].map((packet) =>
      Buffer.concat([whole.subarray(0, -4), Buffer.from(packet), flushPacket]),
    ),
    // A length in capitals.
    Buffer.from(v2(['agent=a'], [want]).toString().replace('000b', '000B')),
    ...['', '0', '-1', '+1', '01', '0x1', '1 ', ' 1', '2147483648', '1e3'].map((n) =>
      v2([], [want, `deepen ${n}`]),
    ),
    ...['', '-1', '01', '0x1', '9'.repeat(19)].map((n) => v2([], [want, `deepen-since ${n}`])),
    ...['want', 'have', 'shallow'].flatMap((keyword) =>
      ['', sha1.slice(1), `${sha1}1`, `${sha1} `, `${sha1}\n\n`, 'A'.repeat(40), 'g'.repeat(40)].map((id) =>
        v2([], [want, `${keyword} ${id}`]),
      ),
    ),
    v2([], [want, 'deepen 1', 'deepen-since 1']),
    v2([], [want, 'deepen-not v1', 'deepen 1']),
    v2([], [want, 'filter tree:1', 'filter tree:1']),
    v2(['object-format=sha1', 'object-format=sha1'], [want]),
    v2(['object-format=sha256'], [want]),
    v2(['agent=a\0b'], [want]),
    v2([], [want, `want-ref refs/heads/a\0b`]),
    // One byte longer than the longest packet.
    Buffer.concat([pktLine('command=fetch'), pktLine(`agent=${'a'.repeat(65_511)}`), whole.subarray(17)]),
  ]) {
    t.equal(parseFetch(body, 2), 'malformed', body.toString('latin1', 0, 300))
  }
  t.type(
    parseFetch(
      Buffer.concat([pktLine('command=fetch'), pktLine(`agent=${'a'.repeat(65_510)}`), whole.subarray(17)]),
      2,
    ),
    'object',
  )
  t.end()
})
