import type { Rope } from '../memory/rope.js'

/** An entry that a revision was made from; an Entry is one. */
export interface RevisedEntry {
  readonly key: string
}

/**
 * A whole body that a producer yields as its only chunk, in place of bytes one after another: the entry is complete at once,
 * and none of its bytes is copied. What is stored of it is how it differs from the last version that was stored.
 */
export class Revision {
  readonly rope: Rope
  /** An entry, and a rope with the same bytes, of which chunks are shared; left out: nothing is shared with what is stored. */
  readonly base: { readonly entry: RevisedEntry; readonly rope: Rope } | undefined

  constructor(rope: Rope, base?: Revision['base']) {
    this.rope = rope
    this.base = base
  }

  /** In bytes. */
  get length(): number {
    return this.rope.length
  }
}
