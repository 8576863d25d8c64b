// A ref listing in memory: event-loop time to answer ten prefixes, the longest stretch while it is read, its size.
//
//   make build && node test/bench/listing.mjs [REFS]
import { setImmediate as nextTurn } from 'node:timers/promises'
import { cutListing, RefListing } from '../../dist/git/protocol/ref-listing.js'
import { median, quantile } from './rig.mjs'

const refs = Number(process.argv[2] ?? 500_000)
const line = (index) => {
  const text = `${'1'.repeat(40)} refs/heads/team-${String(Math.floor(index / (refs / 100))).padStart(2, '0')}/branch-number-${String(index).padStart(7, '0')}\n`
  return (text.length + 4).toString(16).padStart(4, '0') + text
}
// Written in place, so that what is measured does not share its heap with half a million strings.
const length = line(0).length
const wire = Buffer.alloc(refs * length + 4)
for (let index = 0; index < refs; index++) wire.write(line(index), index * length)
wire.write('0000', refs * length)

// As Git's output comes: what a pipe holds, then a pass of the event loop.
const pipe = 64 * 1024
const listing = new RefListing()
const stretches = []
for (let at = 0; at < wire.length; at += pipe) {
  const started = performance.now()
  listing.append(wire.subarray(at, at + pipe))
  stretches.push(performance.now() - started)
  await nextTurn()
}

const times = []
for (let round = 0; round < 1000; round++) {
  const prefixes = Array.from(
    { length: 10 },
    (_, index) => `refs/heads/team-${String((index * 7 + round) % 100).padStart(2, '0')}/`,
  )
  const started = performance.now()
  const parts = [...cutListing(listing, { peel: true, symrefs: true, unborn: true, prefixes })]
  times.push(performance.now() - started)
  if (parts.length < 2) throw new Error('nothing found')
}
console.log(`${refs} refs, ${wire.length} bytes on the wire`)
console.log(`ten prefixes: median ${median(times).toFixed(3)} ms, worst ${Math.max(...times).toFixed(3)} ms`)
console.log(
  `reading: ${stretches.reduce((sum, ms) => sum + ms, 0).toFixed(0)} ms in all; ` +
    `a stretch: p99 ${quantile(stretches, 0.99).toFixed(2)} ms, longest ${Math.max(...stretches).toFixed(2)} ms`,
)
console.log(
  `memory: ${(listing.bytes / wire.length).toFixed(3)} × the wire, ${((listing.bytes - wire.length) / refs).toFixed(1)} bytes more per ref`,
)
