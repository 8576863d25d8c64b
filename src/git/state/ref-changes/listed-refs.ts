import type { Ref } from '../../protocol/ref-line.js'

/** A complete listing, as far as finding changes needs it. */
export interface ListedRefs {
  /** Returns the ref with this name; undefined: it is not in the listing. */
  find(name: Buffer): Ref | undefined
  /** Returns all symbolic refs in it, HEAD too, and where they point in the end. */
  symrefs(): readonly { readonly name: Buffer; readonly target: Buffer }[]
}
