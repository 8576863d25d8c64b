import { packetLength } from '../../../git/protocol/pkt-line.js'

/** Answers to prefixes are cut from listings by binary search, which needs Git's form and order. This listing has another. */
export class UnsortedListing extends Error {
  override readonly name = 'UnsortedListing'
  override readonly message = 'a ref listing is not sorted by name, or its lines have another form than Git’s'
}

const [newline, space] = [0x0a, 0x20]

/**
 * Checks that a ref listing is in the form that Git sends (ls-refs.c): HEAD first if it is shown, then names in ascending
 * order of their bytes; object ids of one length; each line with a newline at its end. Other servers need not do so.
 */
export class ListingOrder {
  #cut = Buffer.alloc(0)
  #last: Buffer | undefined
  #lines = 0
  /** Bytes before a name: the object id, and a space. */
  #nameAt: number | undefined

  /** @throws UnsortedListing */
  push(chunk: Buffer): void {
    const data = this.#cut.length > 0 ? Buffer.concat([this.#cut, chunk]) : chunk
    let at = 0
    while (data.length >= at + 4) {
      const size = packetLength(data, at)
      if (!(size > 4)) at += 4
      else if (at + size > data.length) break
      else {
        this.#line(data.subarray(at + 4, at + size))
        at += size
      }
    }
    this.#cut = Buffer.from(data.subarray(at))
    // The chunk is not kept alive by a name in it.
    this.#last &&= Buffer.from(this.#last)
  }

  #line(line: Buffer): void {
    const from = line.indexOf(space) + 1
    const behind = line.indexOf(space, from)
    const end = behind < 0 ? line.length - 1 : behind
    if (from === 0 || line.at(-1) !== newline) throw new UnsortedListing()
    const name = line.subarray(from, end)
    const isHead = this.#lines++ === 0 && name.toString('latin1') === 'HEAD'
    const isUnborn = isHead && line.toString('latin1', 0, from) === 'unborn '
    if (!isUnborn && from !== (this.#nameAt ??= from)) throw new UnsortedListing()
    if (isHead) return
    if (this.#last && Buffer.compare(this.#last, name) >= 0) throw new UnsortedListing()
    this.#last = name
  }
}
