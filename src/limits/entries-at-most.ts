const one = (): number => 1

/**
 * Options of an LRUCache that holds at most so many entries, and takes memory for those that it holds. With its option `max`,
 * it takes 24 to 44 bytes for each that it may hold, at once.
 */
export const entriesAtMost = (max: number) => ({ maxSize: max, sizeCalculation: one })
