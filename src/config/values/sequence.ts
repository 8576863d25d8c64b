/** In a pattern: any number of items, including none. */
export const any = Symbol('any')

/**
 * Returns whether a sequence of items matches a pattern. Each part of the pattern stands for one item, `any` for any
 * number of items.
 *
 * `any` takes as few items as possible, and on a mismatch only the last `any` passed takes one more: if an earlier one could
 * take more with success, the last one could too. So each part is compared with each item at most once, and the time is
 * at most the length of the pattern times that of the sequence.
 */
export function matchesSequence<Part, Item>(
  pattern: readonly (Part | typeof any)[],
  items: readonly Item[],
  fits: (part: Part, item: Item) => boolean,
): boolean {
  let [part, item] = [0, 0]
  let last: { readonly part: number; item: number } | undefined
  while (item < items.length) {
    const wanted = pattern[part]
    if (wanted === any) {
      part++
      last = { part, item }
    } else if (part < pattern.length && fits(wanted as Part, items[item] as Item)) {
      part++
      item++
    } else if (last) {
      last.item++
      part = last.part
      item = last.item
    } else return false
  }
  while (pattern[part] === any) part++
  return part === pattern.length
}
