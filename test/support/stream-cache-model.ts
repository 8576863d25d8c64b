import { setTimeout as sleep } from 'node:timers/promises'
import { blockSize } from '../../src/streamcache/memory/blocks.js'
import {
  FillError,
  StreamCache,
  type Entry,
  type FillResult,
  type StreamCacheOptions,
} from '../../src/streamcache/index.js'
import { Lender } from './lender.js'
import { bytesOf, ManualProducer, turns } from './producers.js'
import type { Follower } from '../../src/streamcache/index.js'

/** What may happen to a cache. `pick` is an index, taken modulo the number of things to pick from. */
export type Step =
  | { do: 'fill'; key: number; token: number | undefined; confirmed: boolean }
  | { do: 'make'; pick: number; size: number }
  | { do: 'end' | 'fail' | 'follow' | 'leave' | 'retain'; pick: number }
  | { do: 'read'; pick: number; count: number }
  | { do: 'hit'; key: number }
  | { do: 'adopt'; key: number; token: number; size: number }
  | { do: 'vanish'; pick: number }
  | { do: 'turn' | 'sleep'; count: number }
  | { do: 'restart' }

/** Most blocks in one chunk of a producer. */
export const chunkBlocksMax = 5

/** A fill, and what the model knows of it. */
interface Fill {
  readonly id: number
  readonly key: string
  readonly token: string | undefined
  readonly confirmed: boolean
  readonly producer: ManualProducer
  /** Of the fill; if another process has made it, of that process. */
  readonly entry: Entry
  readonly ended: Promise<FillResult>
  made: number
  plan: 'end' | 'fail' | undefined
  /** Has its owner stopped it, because no follower was left? */
  stopped: boolean
  result: FillResult | undefined
}

/** A follower whose every byte is compared with what a fill's producer made. */
class Reader {
  /** The fills that it may follow: several only if they made as much, under one token. */
  #fills: readonly Fill[]
  readonly follower: Follower
  readonly mayBreak: boolean
  /** The reads that are running. */
  busy: Promise<void> | undefined
  ending: 'whole' | 'failed' | undefined

  constructor(fills: readonly Fill[], follower: Follower, mayBreak: boolean) {
    this.mayBreak = mayBreak
    this.#fills = fills
    this.follower = follower
  }

  /** Has it been closed because the disk failed? */
  get broken(): boolean {
    return this.mayBreak && this.ending === 'failed'
  }

  /** Reads that many chunks, or to the end. */
  read(count: number): void {
    this.busy ??= this.#read(count).finally(() => (this.busy = undefined))
  }

  async #read(count: number): Promise<void> {
    for (; count > 0 && !this.ending; count--) {
      const at = this.follower.offset
      let chunk: Buffer | null
      try {
        chunk = await this.follower.read()
      } catch (error) {
        if (
          !(error instanceof Error) ||
          !/^(the producer broke|the cache is clos|no follower was left|E\w+: made up)/.test(error.message)
        )
          throw error
        this.ending = 'failed'
        // As its client would do: a follower that is not closed holds up the fill.
        if (this.mayBreak) this.follower.close()
        return
      }
      if (!chunk) this.ending = 'whole'
      else if (chunk.length === 0) throw new Error('an empty chunk')
      else this.#compare(chunk, at)
    }
  }

  #compare(chunk: Buffer, at: number): void {
    this.#fills = this.#fills.filter(({ id }) => chunk.equals(bytesOf(id, at, chunk.length)))
    if (this.#fills.length === 0) throw new Error(`wrong bytes at ${at}`)
  }

  /** Reads to the end, which must be that of the fill. */
  async finish(): Promise<void> {
    await this.busy
    this.read(Infinity)
    await this.busy
    const fill = this.#fills[0]!
    const result = await fill.ended
    // A disk that fails ends a stream with an error, never early.
    if (this.broken) return
    if ((this.ending === 'failed') !== (result === 'failed')) throw new Error(`${result}, but ${this.ending}`)
    const { offset } = this.follower
    if (this.ending === 'whole' && offset !== fill.made) throw new Error(`${offset} of ${fill.made} bytes`)
    this.follower.close()
  }
}

/** Takes the steps on a real cache and on a simple model. Throws at any difference. */
export class CacheModel {
  readonly #options: StreamCacheOptions
  #cache: StreamCache
  #fills: Fill[] = []
  #readers: Reader[] = []
  #count = 0
  /** By key, the committed fills that may still answer: the last one, or one of the last few. */
  readonly #committed = new Map<string, Fill[]>()
  #closing = false
  readonly #diskFails: boolean
  /** Another process that uses the directory. */
  readonly #lender: Lender

  private constructor(options: StreamCacheOptions, cache: StreamCache, diskFails: boolean) {
    this.#diskFails = diskFails
    this.#options = options
    this.#cache = cache
    this.#lender = new Lender(options)
  }

  /** @param diskFails reads may fail now and then: then streams may end with an error, and entries may not answer */
  static async run(options: StreamCacheOptions, steps: Step[], diskFails = false): Promise<void> {
    const model = new CacheModel(options, await StreamCache.open(options), diskFails)
    for (const step of steps) {
      await model.#take(step)
      model.#checkLimits()
    }
    await model.#finish()
    await model.#cache.close()
    await model.#lender.close()
  }

  #checkLimits(): void {
    const { hotBytes, storeBytes, followers } = this.#cache
    const attached = this.#readers.filter((reader) => !reader.broken).length
    if (hotBytes > this.#options.hotMaxBytes) throw new Error(`${hotBytes} bytes in memory`)
    if (storeBytes > this.#options.maxBytes) throw new Error(`${storeBytes} bytes on disk`)
    if (followers !== attached) throw new Error(`${followers} followers`)
    for (const { entry } of this.#fills) this.#checkMemory(entry)
  }

  /** What does not go to disk is bounded by the lead, and by a chunk that may come on top of it. */
  #checkMemory({ file: { hotBytes, spill } }: Entry): void {
    const { hotMaxBytes, maxLeadBytes } = this.#options
    const most = Math.max(hotMaxBytes, maxLeadBytes) + (chunkBlocksMax + 2) * blockSize
    if (!spill.storing && hotBytes > most) throw new Error(`${hotBytes} bytes of one entry in memory`)
  }

  async #take(step: Step): Promise<void> {
    const running = this.#fills.filter((fill) => !fill.plan)
    switch (step.do) {
      case 'fill':
        return this.#fill(step)
      case 'make':
        return pick(running, step.pick, (fill) => make(fill, step.size))
      case 'end':
      case 'fail':
        return pick(running, step.pick, (fill) => finish(fill, step.do as 'end' | 'fail'))
      case 'follow': {
        const joinable = this.#fills.filter((fill) => !fill.result && fill.entry.joinable)
        return pick(joinable, step.pick, (fill) =>
          this.#readers.push(this.#reader([fill], fill.entry.follow())),
        )
      }
      case 'hit':
        return this.#hit(`key ${step.key}`)
      case 'adopt':
        return this.#adopt(step)
      case 'vanish':
        return this.#lender.remove(step.pick)
      case 'read':
        return pick(this.#readers, step.pick, (reader) => reader.read(step.count))
      case 'retain':
        return pick(running, step.pick, ({ entry }) => entry.retain())
      case 'leave':
        return pick(this.#readers, step.pick, (reader) => this.#leave(reader))
      case 'turn':
        return turns(step.count)
      case 'sleep': // Time for the disk to catch up.
        return sleep(step.count)
      case 'restart':
        return this.#restart()
    }
  }

  #fill({ key, token, confirmed }: Step & { do: 'fill' }): void {
    const producer = new ManualProducer()
    const tokenName = token === undefined ? undefined : `token ${token}`
    const unread = (): void => this.#goOnUnread(fill)
    const { entry, ended } = this.#cache.fill(
      `key ${key}`,
      tokenName,
      producer.run,
      async () => confirmed,
      unread,
    )
    const id = ++this.#count
    const fill: Fill = {
      ...{ id, key: `key ${key}`, token: tokenName, confirmed, producer, entry },
      ...{ made: 0, plan: undefined, stopped: false, result: undefined },
      ended: ended.then((result) => (this.#end(fill, result), result)),
    }
    this.#fills.push(fill)
  }

  /** As the owner of entries that begin in memory does: their writer waits for a follower. */
  #goOnUnread(fill: Fill): void {
    if (!this.#options.memoryFirst) return
    if (fill.entry.joinable) return fill.entry.retain()
    fill.stopped = true
    fill.entry.stop(new FillError('unread', 'no follower was left'))
  }

  #end(fill: Fill, result: FillResult): void {
    fill.result = result
    if (result === 'committed') {
      if (fill.token === undefined || !fill.confirmed) throw new Error('committed without a confirmation')
      // While the cache closes, several may end; and a file that a disk failed to remove comes back at a restart.
      const mayStay = this.#closing || this.#diskFails
      const before = mayStay ? (this.#committed.get(fill.key) ?? []) : []
      this.#committed.set(fill.key, [...before, fill])
    }
    const mayFail = fill.plan !== 'end' || fill.stopped || this.#closing
    if (result === 'failed' ? !mayFail : fill.plan !== 'end') throw new Error(`${result} after ${fill.plan}`)
  }

  async #hit(key: string): Promise<void> {
    const entry = this.#cache.get(key)
    if (!entry) return
    // The result of a fill whose entry is committed may be about to come.
    const candidates = [
      ...(this.#committed.get(key)?.filter(({ token }) => token === entry.token) ?? []),
      ...this.#fills.filter((fill) => fill.entry === entry),
    ]
    const follower = entry.follow()
    if (!(await entry.load())) {
      const { damaged, borrowed } = entry.file.spill
      const gone = borrowed && this.#lender.hasRemoved
      if (!gone && (!this.#diskFails || damaged)) throw new Error('an intact entry was found damaged')
      follower.close()
      this.#cache.discard(entry)
      if (damaged && this.#cache.get(key) === entry) throw new Error('a file that is gone was kept')
      return
    }
    const fills = candidates.filter(({ made }) => made === follower.size)
    if (fills.length === 0) throw new Error(`${key} holds what was never committed`)
    this.#readers.push(this.#reader(fills, follower))
  }

  async #adopt({ key, token, size }: Step & { do: 'adopt' }): Promise<void> {
    const [id, tokenName] = [++this.#count, `token ${token}`]
    const lent = await this.#lender.lend(bytesOf(id, 0, size))
    if (!lent) return
    const fill: Fill = {
      ...{ id, key: `key ${key}`, token: tokenName, confirmed: true, producer: new ManualProducer() },
      ...{
        entry: lent.entry,
        ended: lent.ended,
        made: size,
        plan: 'end',
        stopped: false,
        result: 'committed',
      },
    }
    // An entry of an earlier fill may come back at a restart: this one is not kept.
    const adopted = [...(this.#committed.get(fill.key) ?? []), fill]
    this.#committed.set(fill.key, adopted)
    const { path, sha256 } = lent
    if (!(await this.#cache.adopt(fill.key, tokenName, { path, length: size, sha256 }))) {
      if (!this.#diskFails) throw new Error('an intact file was not adopted')
    }
  }

  #reader(fills: readonly Fill[], follower: Follower): Reader {
    return new Reader(fills, follower, this.#diskFails)
  }

  #leave(reader: Reader): void {
    reader.busy?.catch(() => {}) // A pending read is interrupted.
    reader.follower.close()
    this.#readers = this.#readers.filter((other) => other !== reader)
  }

  /** Stops all that runs, opens the directory again, and compares what is in it. */
  async #restart(): Promise<void> {
    this.#closing = true
    await this.#cache.close()
    await this.#finish()
    this.#closing = false
    this.#cache = await StreamCache.open(this.#options)
    for (const key of this.#committed.keys()) await this.#hit(key)
  }

  /** Ends every fill; every follower must get all of it. */
  async #finish(): Promise<void> {
    for (const fill of this.#fills) if (!fill.plan) finish(fill, fill.id % 3 === 0 ? 'fail' : 'end')
    for (const fill of this.#fills) if (!fill.entry.followed) this.#goOnUnread(fill)
    await Promise.all([
      ...this.#fills.map(({ ended }) => ended),
      ...this.#readers.map((each) => each.finish()),
    ])
    this.#fills = []
    this.#readers = []
  }
}

function make(fill: Fill, size: number): void {
  fill.producer.push(bytesOf(fill.id, fill.made, size))
  fill.made += size
}

function finish(fill: Fill, plan: 'end' | 'fail'): void {
  fill.plan = plan
  fill.producer[plan]()
}

function pick<T>(things: T[], index: number, take: (thing: T) => unknown): void {
  if (things.length > 0) take(things[index % things.length]!)
}
