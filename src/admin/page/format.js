const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(value) {
  let unit = 0
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

export function seconds(value) {
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min`
  return value < 172_800 ? `${Math.floor(value / 3600)} h` : `${Math.floor(value / 86_400)} d`
}

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

/** Outcomes of requests that a fill of their own was not needed for. */
const shared = new Set(['hit', 'joined', 'gathered', 'revalidated'])

/** Returns requests per second, and the share of those without a fill of their own, between two statuses. */
export function ratesBetween(before, now) {
  const span = (Date.parse(now.at) - Date.parse(before.at)) / 1000
  let [all, answered, without] = [0, 0, 0]
  for (const [outcome, count] of Object.entries(now.requests.byOutcome)) {
    const more = Math.max(0, count - (before.requests.byOutcome[outcome] ?? 0))
    all += more
    if (shared.has(outcome)) without += more
    if (shared.has(outcome) || outcome === 'filled') answered += more
  }
  return {
    perSecond: span > 0 ? all / span : 0,
    ratio: answered > 0 ? without / answered : undefined,
  }
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
