/** Returns a text with paths below the root as they are there. */
export const below = (root, text) => (root ? text.replaceAll(`${root}/`, '') : text)

/** Splits a key of the cache into what is kept (`advertisement v2`) and the repository that it is of. */
export function partsOf(key) {
  // Directories may have spaces in their names; the addresses of upstreams have none.
  const at = key.startsWith('upstream-') ? key.lastIndexOf(' ') : key.indexOf(' ', key.indexOf(' ') + 1)
  if (at < 0) return { what: '', repository: key }
  const [kind, variant] = key.slice(0, at).replace('upstream-', '').split(' ')
  return { what: `${kind} ${variant.slice(0, 8)}`, repository: key.slice(at + 1) }
}

/** Returns the points of a line over values, the newest at the right; undefined ones are left out. */
export function points(values, width, height, most) {
  const top = most ?? Math.max(1, ...values.filter((value) => value !== undefined))
  const step = width / Math.max(1, values.length - 1)
  return values
    .map((value, at) =>
      value === undefined
        ? ''
        : `${(at * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`,
    )
    .filter(Boolean)
    .join(' ')
}
