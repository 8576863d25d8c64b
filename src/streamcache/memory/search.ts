/** Binary search: returns the first number from `low` up to `high` for which a condition stops to hold. */
export function search(low: number, high: number, holds: (index: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) low = middle + 1
    else high = middle
  }
  return low
}
