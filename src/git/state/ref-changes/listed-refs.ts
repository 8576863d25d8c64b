import type { Ref } from '../../protocol/ref-line.js'

/** What a search for changes must know of the listing that was made of the earlier state. */
export interface ListedRefs {
  /** Returns the ref with this name; undefined: it is not in the listing. */
  find(name: Buffer): Ref | undefined
  /** Returns all symbolic refs in it, and where they point in the end. */
  symrefs(): readonly { readonly name: Buffer; readonly target: Buffer }[]
}
