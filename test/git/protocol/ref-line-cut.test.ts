import t from 'tap'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import {
  withoutAttributes,
  type KeptAttributes,
  type RefLines,
} from '../../../src/git/protocol/ref-line-cut.js'

const id = 'a'.repeat(40)
const nameAt = 4 + id.length + 1

function linesOf(texts: readonly string[]): RefLines {
  const packets = texts.map((text) => pktLine(`${id} ${text}\n`))
  const lines = [0]
  for (const packet of packets) lines.push(lines.at(-1)! + packet.length)
  return { bytes: Buffer.concat(packets), lines: Uint32Array.from(lines), nameAt }
}

const cut = (lines: RefLines, kept: KeptAttributes, from = 0, to = lines.lines.length - 1): Buffer[] => [
  ...withoutAttributes(lines, from, to, kept),
]

t.test('unwanted attributes are cut out, and the length of the line is written anew', async (t) => {
  const lines = linesOf([
    'HEAD symref-target:refs/heads/main',
    'refs/heads/main',
    'refs/tags/v1 peeled:1234',
    'refs/tags/both symref-target:refs/tags/v1 peeled:1234',
  ])
  const expect = (kept: KeptAttributes, texts: string[]): unknown =>
    t.same(Buffer.concat(cut(lines, kept)).toString(), linesOf(texts).bytes.toString(), JSON.stringify(kept))
  expect({ peel: false, symrefs: false }, ['HEAD', 'refs/heads/main', 'refs/tags/v1', 'refs/tags/both'])
  expect({ peel: true, symrefs: false }, [
    'HEAD',
    'refs/heads/main',
    'refs/tags/v1 peeled:1234',
    'refs/tags/both peeled:1234',
  ])
  expect({ peel: false, symrefs: true }, [
    'HEAD symref-target:refs/heads/main',
    'refs/heads/main',
    'refs/tags/v1',
    'refs/tags/both symref-target:refs/tags/v1',
  ])
})

t.test('only the lines of the range are returned', async (t) => {
  const lines = linesOf(['a peeled:1', 'b peeled:2', 'c peeled:3'])
  const kept = { peel: false, symrefs: true }
  t.same(Buffer.concat(cut(lines, kept, 1, 2)).toString(), linesOf(['b']).bytes.toString())
  t.same(cut(lines, kept, 1, 1), [])
})

t.test('a name that begins like an attribute stays', async (t) => {
  const lines = linesOf(['peeled:x peeled:1', 'refs/peeled:y'])
  t.same(
    Buffer.concat(cut(lines, { peel: false, symrefs: false })).toString(),
    linesOf(['peeled:x', 'refs/peeled:y']).bytes.toString(),
  )
})

t.test('long runs of unchanged lines are views, and copies are bounded', async (t) => {
  const plain = Array.from({ length: 200 }, (_, index) => `refs/heads/b${index}`)
  const tags = Array.from({ length: 3000 }, (_, index) => `refs/tags/t${index} peeled:${id}`)
  const lines = linesOf([...plain, ...tags])
  const parts = cut(lines, { peel: false, symrefs: true })
  const [first, ...rest] = parts
  t.equal(first?.buffer, lines.bytes.buffer, 'a view')
  t.equal(first?.length, lines.lines[plain.length])
  t.ok(rest.length > 1)
  for (const part of rest) {
    t.not(part.buffer, lines.bytes.buffer)
    t.ok(part.length <= 64 * 1024, `${part.length} bytes`)
  }
})
