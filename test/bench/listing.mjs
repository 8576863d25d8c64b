// A ref listing in memory: event-loop time to answer ten prefixes, the longest stretch while it is read, its size.
//
//   make build && node test/bench/listing.mjs [REFS]
import { randomBytes } from 'node:crypto'
import { cutListing, RefListing } from '../../dist/git/ref-listing.js'
import { median, quantile } from './rig.mjs'

const refs = Number(process.argv[2] ?? 500_000)
const line = (index) => {
  const text = `${randomBytes(20).toString('hex')} refs/heads/team-${String(index % 100).padStart(2, '0')}/branch-number-${index}\n`
  return (text.length + 4).toString(16).padStart(4, '0') + text
}
const lines = () =>
  Array.from({ length: refs }, (_, index) => line(index)).sort((a, b) => (a.slice(45) < b.slice(45) ? -1 : 1))
const wire = Buffer.from(`${lines().join('')}0000`)

const listing = new RefListing()
const stretches = []
for (let at = 0; at < wire.length; at += 256 * 1024) {
  const started = performance.now()
  listing.append(wire.subarray(at, at + 256 * 1024))
  stretches.push(performance.now() - started)
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
