import type { Rope } from '../memory/rope.js'
import { search } from '../memory/search.js'
import type { Splice } from '../memory/splice.js'

/** Ranges of more bytes are written as they are: comparing their bytes would block the event loop. */
const comparedMax = 1024 * 1024
/** Bytes that are compared at once. */
const stride = 4096
/** Equal bytes between two differences that are worth a splice of their own. */
const gapMin = 64

/**
 * Returns how a rope differs from another one: equal chunks are found by identity, then equal bytes at the ends of what
 * differs are left out, so that one changed line costs about its own bytes.
 */
export function deltaBetween(before: Rope, after: Rope): Splice[] {
  const [old, now] = [before.chunks, after.chunks]
  const least = Math.min(old.length, now.length)
  let head = 0
  while (head < least && old[head] === now[head]) head++
  let tail = 0
  while (tail < least - head && old[old.length - tail - 1] === now[now.length - tail - 1]) tail++
  const [oldEnd, nowEnd] = [old.length - tail, now.length - tail]
  // Mostly, one chunk or two differ: what stands around them is only stepped over.
  const places = placesOf(old, head, oldEnd)
  const splices: Splice[] = []
  for (let [i, j] = [head, head]; i < oldEnd || j < nowEnd;) {
    if (i < oldEnd && j < nowEnd && old[i] === now[j]) {
      i++
      j++
      continue
    }
    let [nextOld, nextNow] = [oldEnd, nowEnd]
    for (let index = j; index < nowEnd; index++) {
      const place = placeFrom(places.get(now[index] as Buffer), i)
      if (place === undefined) continue
      ;[nextOld, nextNow] = [place, index]
      break
    }
    splices.push(...compare(before.startOf(i), old.slice(i, nextOld), now.slice(j, nextNow)))
    ;[i, j] = [nextOld, nextNow]
  }
  return splices
}

/** Returns where chunks stand, of those from one index up to another. */
function placesOf(chunks: readonly Buffer[], from: number, to: number): Map<Buffer, number[]> {
  const places = new Map<Buffer, number[]>()
  for (let index = from; index < to; index++) {
    const chunk = chunks[index] as Buffer
    const known = places.get(chunk)
    if (known) known.push(index)
    else places.set(chunk, [index])
  }
  return places
}

/** Returns the first place that is not before an index. */
function placeFrom(places: readonly number[] | undefined, from: number): number | undefined {
  return places?.[search(0, places.length, (at) => (places[at] as number) < from)]
}

const sum = (chunks: readonly Buffer[]): number => chunks.reduce((bytes, { length }) => bytes + length, 0)

function compare(start: number, before: readonly Buffer[], after: readonly Buffer[]): Splice[] {
  const [oldLength, newLength] = [sum(before), sum(after)]
  if (Math.max(oldLength, newLength) > comparedMax) return [{ start, end: start + oldLength, bytes: after }]
  const [old, now] = [Buffer.concat(before), Buffer.concat(after)]
  const most = Math.min(oldLength, newLength)
  const head = equalAtStart(old, now, most)
  const tail = equalAtEnd(old, now, most - head)
  const [x, y] = [old.subarray(head, oldLength - tail), now.subarray(head, newLength - tail)]
  if (x.length === 0 && y.length === 0) return []
  if (x.length === y.length) return differences(start + head, x, y)
  return [{ start: start + head, end: start + head + x.length, bytes: [y] }]
}

function equalAtStart(a: Buffer, b: Buffer, most: number): number {
  let at = 0
  while (at + stride <= most && a.compare(b, at, at + stride, at, at + stride) === 0) at += stride
  while (at < most && a[at] === b[at]) at++
  return at
}

function equalAtEnd(a: Buffer, b: Buffer, most: number): number {
  const [endA, endB] = [a.length, b.length]
  let count = 0
  while (
    count + stride <= most &&
    a.compare(b, endB - count - stride, endB - count, endA - count - stride, endA - count) === 0
  )
    count += stride
  while (count < most && a[endA - count - 1] === b[endB - count - 1]) count++
  return count
}

/** Returns where bytes of one length differ, without longer runs of equal bytes: object names in their places. */
function differences(start: number, before: Buffer, after: Buffer): Splice[] {
  const splices: Splice[] = []
  const add = (from: number, to: number): void => {
    splices.push({ start: start + from, end: start + to, bytes: [after.subarray(from, to)] })
  }
  let from = 0
  let last = 0
  for (let at = 0; at < after.length; at++) {
    if (before[at] === after[at]) continue
    if (at - last > gapMin) {
      add(from, last + 1)
      from = at
    }
    last = at
  }
  add(from, last + 1)
  return splices
}
