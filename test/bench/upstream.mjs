// Another Git server behind refstream: clients in a closed loop while it is pushed to, and a server that is far away.
//
//   make build && node test/bench/upstream.mjs      as root, with `ip`, it counts the bytes on an interface
//   QUICK=1 for a short run; ONLY=loop or ONLY=far for one part, which then is printed and not written
import { loadavg } from 'node:os'
import { env } from 'node:process'
import { barCharts } from './bars.mjs'
import { save, table } from './rig.mjs'
import { farAway } from './upstream/far.mjs'
import { inALoop } from './upstream/in-a-loop.mjs'

const isQuick = env.QUICK === '1'
const loadBefore = loadavg()
const loop = { readers: isQuick ? 40 : 200, seconds: isQuick ? 5 : 20, refs: 1000 }
const line = { roundTripMs: 60, bitsPerSecond: 20e6, megabytes: isQuick ? 4 : 64, branches: 5000 }
const looped = env.ONLY === 'far' ? [] : await inALoop(loop)
const { rows: far, hasInterface } = env.ONLY === 'loop' ? { rows: [] } : await farAway(line)

const inLoop = () => [
  `## ${loop.readers} clients in a closed loop, one push a second\n`,
  `For ${loop.seconds} s, half of the clients list all refs (${loop.refs}) in protocol v0 and half in v2, each again as soon as it has its`,
  'answer; a branch is pushed to directly at the server (`git http-backend`). An answer is too old if its value had been replaced',
  'for longer than the bound when it was asked for.\n',
  ...table(
    ['freshness', 'pushes', 'answers', 'too old', 'oldest, s', 'client requests', 'upstream requests'].concat(
      ['upstream requests/s', 'upstream ÷ client', 'begun while a client waits: median', 'most'],
      ['ms p50', 'ms p99'],
    ),
    looped.map((row) =>
      [row.freshness, row.pushes, row.answers, row.tooOld, row.oldestMs / 1000, row.clientRequests].concat(
        [row.upstreamRequests, row.upstreamPerSecond, row.quotient.toFixed(4)],
        [row.perRoundTripP50, row.perRoundTripMost, row.p50, row.p99],
      ),
    ),
  ),
  '\n*Begun while a client waits*: ls-refs questions to the server that begin between the arrival of a client’s question and the',
  'first byte of its answer.\n',
]

const wire = hasInterface ? 'wireBytes' : 'bytes'
const farther = () => [
  '## A server that is far away\n',
  `${line.roundTripMs} ms for a round trip, ${line.bitsPerSecond / 1e6} Mbit/s; a repository of ${line.megabytes} MB and ${line.branches} branches on \`git http-backend\`; Git’s own client. Polls`,
  'are `git ls-remote` of what has not changed, after one that fills; medians of six. *Payload*: without the headers of TCP, IP and Ethernet. Times include those of the client.\n',
  ...table(
    ['', 'v2 poll, ms', 'bytes on the line', 'payload', 'requests', 'connections'].concat([
      'v0 poll, ms',
      'bytes on the line',
      'payload',
      'requests',
      'connections',
    ]),
    far.map(({ name, v2, v0 }) =>
      [name].concat(
        [v2, v0].flatMap((poll) => [poll.ms, poll[wire], poll.bytes, poll.requests, poll.connections]),
      ),
    ),
  ),
  '',
  ...table(
    ['', 'first clone, s', 'MB on the line', 'second, s', 'MB', 'third, s', 'MB'],
    far.map(({ name, clones }) =>
      [name].concat(
        [0, 1, 2].flatMap((index) => [
          clones[index] && clones[index].ms / 1000,
          clones[index] && clones[index][wire] / 1e6,
        ]),
      ),
    ),
  ),
  `\n${
    hasInterface
      ? 'Bytes are those of a network interface, in both directions, with the headers of TCP, IP and Ethernet.'
      : 'Bytes are TCP’s payload, in both directions.'
  } Delay and speed are those of a proxy of`,
  'the benchmark’s own, since the kernel had no `netem`: it has no losses and no slow start.',
]

const report = [...(looped.length > 0 ? inLoop() : []), ...(far.length > 0 ? farther() : [])].join('\n')
console.log(report)

const bars = (title, unit, of) => ({
  title: `${title}, ${unit}`,
  bars: far.map((row) => ({ name: row.name, value: of(row), kind: row.near ? 'ours' : 'bar' })),
})
const picture = () =>
  barCharts('A Git server that is far away', [
    bars('unchanged poll, protocol v2', 'bytes on the line', ({ v2 }) => v2[wire]),
    bars('unchanged poll, protocol v2', 'ms', ({ v2 }) => v2.ms),
    bars('first clone', 's', ({ clones }) => clones[0].ms / 1000),
    bars('third clone', 's', ({ clones }) => clones.at(-1).ms / 1000),
  ])
if (!isQuick && env.ONLY === undefined)
  save('upstream', report, { loop, line, loadBefore, looped, far, hasInterface }, picture())
