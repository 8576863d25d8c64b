import { isDamage } from '../disk/disk-file.js'
import { Rope } from '../memory/rope.js'

/** Where a version of a body can be read back from; a RevisionWriter is one. */
export interface RopeStore {
  /** Is this the version that is on disk? */
  stores(body: RopeBody): boolean
  /** Has a version written that is not on disk; the body's stored() or unstored() is called later. */
  store(body: RopeBody): void
  /** Reads the version back. @throws Damage; the system's error; an error if it is not on disk */
  read(body: RopeBody): Promise<Rope>
  /** Called when the version has left memory. */
  released(body: RopeBody): void
  /** Called when it could not be read, which is no proof of damage. */
  readFailed(error: unknown): void
  /** Called when memory has no room for a version that could not be written. */
  displaced(body: RopeBody): void
  /** Where the version is on disk as one whole file; undefined: there are deltas, or it is not on disk. */
  pathOf(body: RopeBody): string | undefined
}

/** The file that has such a body; a GrowingFile is one. */
export interface RopeOwner {
  /** Is any follower attached now? */
  readonly followed: boolean
  /** Called when the body has come into memory or left it. */
  changed(): void
}

/** The content of a file that is one rope: in memory as a whole, or not at all. It stays there while it is followed. */
export class RopeBody {
  /** In bytes. */
  readonly length: number
  readonly #owner: RopeOwner
  #rope: Rope | undefined
  #sha256: string | undefined
  #store: RopeStore | undefined
  /** Is it to leave memory: as soon as it is on disk, or in any case, because others need the room? */
  #leaving: 'when stored' | 'surely' | undefined
  #loading: Promise<Rope | undefined> | undefined
  /** As `hold` was told. */
  #isHeld = false
  #damaged = false
  #dropped = false

  /** @param content the rope, or its length in bytes if it is on disk only */
  constructor(owner: RopeOwner, content: Rope | number) {
    this.#owner = owner
    this.#rope = content instanceof Rope ? content : undefined
    this.length = content instanceof Rope ? content.length : content
  }

  /** Undefined: it is not in memory. */
  get rope(): Rope | undefined {
    return this.#rope
  }

  /**
   * Bytes in memory that count: those of the committed version. One that is not yet, or no longer, committed shares most of its
   * chunks with that.
   */
  get bytes(): number {
    return this.#store && !this.#isHeld ? (this.#rope?.length ?? 0) : 0
  }

  /** In hexadecimal, if it was computed. */
  get sha256(): string | undefined {
    return this.#rope?.sha256 ?? this.#sha256
  }

  /** Is it proved that what is on disk is not what was stored? */
  get damaged(): boolean {
    return this.#damaged
  }

  /** As in `Entry`. */
  get path(): string | undefined {
    return this.#store?.pathOf(this)
  }

  /** Computes the SHA-256; reads the body back if it is not in memory. @throws if it cannot be read */
  async digest(): Promise<string> {
    return (this.#sha256 = await (this.#rope ?? (await this.#required())).digest())
  }

  /** As in `Entry`. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld && this.#rope !== undefined
    this.#owner.changed()
  }

  /** Sets where it is, or will be, on disk; undefined: nowhere, since a newer version was committed. */
  keepIn(store: RopeStore | undefined): void {
    this.#store = store
    this.#owner.changed()
  }

  /** Called when it is on disk. */
  stored(): void {
    this.settle()
  }

  /** Called when it could not be written. */
  unstored(): void {
    if (this.#leaving === 'surely') this.#store?.displaced(this)
    else this.#leaving = undefined
  }

  /** Drops it from memory as soon as it is on disk and not followed. @param surely others need the room */
  cool(surely: boolean): void {
    if (!this.#rope) return
    this.#leaving = surely ? 'surely' : (this.#leaving ?? 'when stored')
    this.settle()
  }

  /** Does now what cool() had to put off; call when a follower has left. */
  settle(): void {
    if (!this.#leaving || !this.#store || this.#owner.followed) return
    if (this.#store.stores(this)) {
      this.#release()
      this.#store.released(this)
    } else if (this.#leaving === 'surely') this.#store.store(this)
  }

  #release(): void {
    this.#sha256 = this.sha256
    this.#rope = undefined
    // What will be read back has other chunks.
    this.#isHeld = false
    this.#leaving = undefined
    this.#owner.changed()
  }

  /** Drops it from memory for good. */
  drop(): void {
    this.#dropped = true
    this.#store = undefined
    this.#release()
  }

  /** As in `Entry`. */
  load(): boolean | Promise<boolean> {
    if (this.#rope) return true
    return this.#load().then((rope) => rope !== undefined)
  }

  #load(): Promise<Rope | undefined> {
    return (this.#loading ??= this.#readBack().finally(() => (this.#loading = undefined)))
  }

  async #readBack(): Promise<Rope | undefined> {
    const store = this.#store
    if (!store) return undefined
    try {
      const rope = await store.read(this)
      if (this.#dropped) return undefined
      this.#rope = rope
      this.#owner.changed()
      return rope
    } catch (error) {
      // A version that was superseded meanwhile proves nothing.
      const isNewest = this.#store === store
      this.#damaged = isDamage(error) && isNewest
      if (!this.#damaged && isNewest) store.readFailed(error)
      return undefined
    }
  }

  async #required(): Promise<Rope> {
    const rope = await this.#load()
    if (!rope) throw new Error('this version cannot be read back from disk')
    return rope
  }

  /** Returns a view of bytes at an offset, later if they have to be read back. @throws if they cannot be */
  read(offset: number): Buffer | Promise<Buffer> {
    return this.#rope?.from(offset) ?? this.#readLater(offset)
  }

  async #readLater(offset: number): Promise<Buffer> {
    return (await this.#required()).from(offset)
  }
}
