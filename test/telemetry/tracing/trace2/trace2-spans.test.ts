import t from 'tap'
import fc from 'fast-check'
import { trace2Events } from '../../../../src/telemetry/tracing/trace2/trace2-events.js'
import { trace2MaxSpans, trace2Spans } from '../../../../src/telemetry/tracing/trace2/trace2-spans.js'

const parentSid = '20261129T095004.045370Z-H0a7c9cdf-P000006e0'
const childSid = `${parentSid}/20261129T095004.293824Z-H0a7c9cdf-P0000070a`

let clock = 0
const line = (event: string, fields: object, sid = parentSid, thread = 'main'): string =>
  JSON.stringify({
    ...{ event, sid, thread, ...fields },
    time: `2026-11-29T09:50:04.${String(clock++).padStart(6, '0')}Z`,
  })

const spansOf = (lines: readonly string[]) => trace2Spans([...trace2Events(lines.join('\n'))])
/** Names of a span and of those above it. */
const pathOf = (span: ReturnType<typeof spansOf>['spans'][number]): string =>
  span.parent ? `${pathOf(span.parent)} > ${span.name}` : span.name

t.test('child processes and regions become spans below one another', async (t) => {
  clock = 0
  const { spans, dropped } = spansOf([
    line('version', {}),
    line('start', { argv: ['git', 'upload-pack', 'S3CRET'] }),
    line('region_enter', { category: 'own', label: 'outer' }),
    line('child_start', {
      child_id: 0,
      child_class: '?',
      argv: ['git', '--shallow-file', '', 'pack-objects', '--S3CRET'],
    }),
    line('region_enter', { category: 'pack-objects', label: 'write-pack-file' }, childSid),
    line('region_enter', { category: 'other', label: 'in a thread' }, childSid, 'th01:work'),
    line('region_leave', { category: 'pack-objects', label: 'write-pack-file' }, childSid),
    line('child_exit', { child_id: 0, pid: 0x70a, code: 3 }),
    line('region_leave', { category: 'own', label: 'outer' }),
    line('child_start', {
      child_id: 1,
      child_class: 'hook',
      hook_name: 'pre-receive',
      argv: ['hooks/pre-receive'],
    }),
    line('child_start', { child_id: 2, child_class: '?', argv: ['/usr/bin/S3CRET'] }),
  ])
  t.same(spans.map(pathOf), [
    'own/outer',
    'own/outer > git pack-objects',
    'own/outer > git pack-objects > pack-objects/write-pack-file',
    'own/outer > git pack-objects > other/in a thread',
    'hook/pre-receive',
    'child process',
  ])
  t.equal(dropped, 0)
  const [outer, child, , unfinished] = spans
  t.same(
    [outer?.begin, outer?.end],
    [
      [1795945804, 2000],
      [1795945804, 8000],
    ],
    'in microseconds',
  )
  t.match(child, { code: 3, end: [1795945804, 7000] })
  t.equal(unfinished?.end, undefined)
  t.notMatch(JSON.stringify(spans.map(({ name }) => name)), 'S3CRET')
})

t.test('there are at most so many spans', async (t) => {
  const lines = Array.from({ length: trace2MaxSpans + 10 }, (_, at) => [
    line('region_enter', { category: 'c', label: String(at) }),
    line('region_leave', { category: 'c', label: String(at) }),
  ]).flat()
  const { spans, dropped } = spansOf(lines)
  t.equal(spans.length, trace2MaxSpans)
  t.equal(dropped, 10)
  t.ok(
    spans.every(({ parent, end }) => parent === undefined && end),
    'what was dropped holds up nothing',
  )
})

t.test('lines that are no events are left out', async (t) => {
  const good = line('region_enter', { category: 'c', label: 'l' })
  t.equal(spansOf(['', 'nonsense', '[]', 'null', '{}', good, good.slice(0, -5)]).spans.length, 1)
  fc.assert(
    fc.property(fc.array(fc.string()), (lines) => {
      spansOf(lines)
    }),
  )
  const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.array(fc.string()))
  const event = fc.record({
    event: fc.constantFrom('region_enter', 'region_leave', 'child_start', 'child_exit'),
    sid: fc.constantFrom(parentSid, childSid, 'x', ''),
    time: fc.constantFrom('2026-11-29T09:50:04.123456Z', 'then', '2026-99-99T99:99:99.1Z'),
    ...{
      category: value,
      label: value,
      child_id: value,
      argv: value,
      pid: value,
      code: value,
      thread: value,
    },
  })
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const { spans } = spansOf(events.map((each) => JSON.stringify(each)))
      return spans.length <= trace2MaxSpans
    }),
  )
})
