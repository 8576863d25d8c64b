import type { Clock } from '../../../../limits/clock.js'
import type { EtcdClient, EtcdWatchStream } from './etcd-client.js'
import { EtcdError } from './etcd-error.js'
import { prefixEnd, type Header, type WatchResponse } from './messages.js'

export type WatchEvent = WatchResponse['events'][number]

export interface WatchListener {
  /** Called with the header of each message. */
  seen(header: Header): void
  changed(event: WatchEvent): void
  /** Called if revisions that were reported already seem to be missing in etcd. */
  isBehind(): void
}

/** Milliseconds between attempts to watch; the wait doubles. */
const retry = { minMs: 100, maxMs: 2000 }

/** Milliseconds in which etcd must have begun to report. */
const createMs = 3000

/**
 * Reports all changes of keys with a prefix, from the first time that etcd was reached on. After a connection has ended it goes
 * on with the revision after the last one that was reported. Changes are lost only if etcd has compacted them meanwhile, or
 * has other data.
 */
export class EtcdWatch {
  readonly #client: EtcdClient
  readonly #clock: Clock
  readonly #prefix: string
  readonly #listener: WatchListener
  /** The cluster, and the first revision that is still to be reported. */
  #next: { readonly clusterId: string; readonly revision: number } | undefined
  #stream: EtcdWatchStream | undefined
  #cancelTimer: () => void = () => undefined
  #waitMs = retry.minMs
  #closed = false

  constructor(client: EtcdClient, clock: Clock, prefix: string, listener: WatchListener) {
    this.#client = client
    this.#clock = clock
    this.#prefix = prefix
    this.#listener = listener
    client.moved = () => this.#restart()
    void this.#start()
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer()
    this.#drop()
  }

  async #start(): Promise<void> {
    try {
      const opened = await this.#client.watch()
      if (this.#closed) return end(opened)
      this.#listen(opened)
    } catch {
      this.#startLater()
    }
  }

  #listen(opened: EtcdWatchStream): void {
    this.#drop()
    this.#stream = opened
    const { stream } = opened
    const isCurrent = (): boolean => this.#stream === opened
    const fail = (error: unknown): void => {
      if (!isCurrent()) return
      opened.failed(error)
      this.#restart()
    }
    stream.on('data', (response: WatchResponse) => {
      if (isCurrent()) this.#receive(response, fail)
    })
    stream.on('error', fail)
    stream.on('end', () => fail(new EtcdError('etcd has ended the watch')))
    stream.write({
      createRequest: {
        key: this.#prefix,
        rangeEnd: prefixEnd(this.#prefix),
        startRevision: String(this.#next?.revision ?? 0),
        progressNotify: true,
      },
    })
    this.#cancelTimer()
    this.#cancelTimer = this.#clock.after(createMs, () => fail(new EtcdError('etcd does not begin to watch')))
  }

  #receive(response: WatchResponse, fail: (error: unknown) => void): void {
    const { header, created, canceled, compactRevision, cancelReason, events } = response
    const revision = Number(header.revision)
    if (canceled) {
      if (compactRevision !== '0') this.#next = undefined
      return fail(new EtcdError(cancelReason))
    }
    if (created) {
      this.#cancelTimer()
      this.#waitMs = retry.minMs
      const isOther =
        this.#next && (this.#next.clusterId !== header.clusterId || this.#next.revision > revision + 1)
      if (isOther) {
        // Another etcd, one that has lost writes, or a member that lags: the revision may be far in its future.
        this.#next = undefined
        this.#listener.isBehind()
        return this.#restart()
      }
      this.#next ??= { clusterId: header.clusterId, revision: revision + 1 }
      return
    }
    this.#listener.seen(header)
    for (const event of events) this.#listener.changed(event)
    // Events of an old revision come with the current one in the header.
    const last = events.at(-1)?.kv.modRevision ?? header.revision
    this.#next = { clusterId: header.clusterId, revision: Number(last) + 1 }
  }

  #restart(): void {
    if (!this.#stream) return
    this.#drop()
    this.#startLater()
  }

  #startLater(): void {
    if (this.#closed) return
    this.#cancelTimer()
    this.#cancelTimer = this.#clock.after(this.#waitMs, () => void this.#start())
    this.#waitMs = Math.min(2 * this.#waitMs, retry.maxMs)
  }

  #drop(): void {
    if (this.#stream) end(this.#stream)
    this.#stream = undefined
  }
}

/** Ends a stream; it reports an error afterwards. */
function end({ stream }: EtcdWatchStream): void {
  stream.on('error', () => undefined)
  stream.cancel()
}
