// The targets of packs, each as a ratio of figures from one run that is to stay below a limit.

const names = {
  clone: 'clone',
  checkout: 'checkout by id at depth 1',
  fetch: 'incremental fetch',
  unique: 'unique fetches',
}

/** What a row of the scenario is of, in words. */
export const packsTitle = ({ operation, form }) => `${names[operation]}, ${form}`

/**
 * How long the slowest of many clients at once may take, in ms: 1.2 times what a client alone takes (of plain nginx or of
 * refstream, whichever is less), and what the wire takes: the p99 of as many clients that get the same bytes from a file.
 */
export const allowedP99 = (ours, plain) => 1.2 * Math.min(ours.soloMs, plain.soloMs) + ours.wireMs

/** For storms at once: one pack-objects, a fifteenth of plain nginx's CPU, p99. For unique fetches: CPU of pass-through. */
export function packTargets(rows) {
  const find = (server, where) => rows.find((row) => row.server === server && where(row))
  return rows
    .filter(({ server, form }) => server === 'refstream' && !form.startsWith('spread'))
    .flatMap((ours) => {
      const same = ({ operation, form }) => operation === ours.operation && form === ours.form
      const against = (label, key, best, bestName, limit) => {
        const ratio = ours[key] / best
        const met = !ours.faults && ratio <= limit
        const { faults } = ours
        return { title: packsTitle(ours), label, ours: ours[key], best, bestName, ratio, limit, met, faults }
      }
      const cpu = (server, limit) => {
        const other = find(server, same)
        return other ? [against('CPU, s', 'cpuSeconds', other.cpuSeconds, server, limit)] : []
      }
      if (ours.operation === 'unique') return [...cpu('refstream --no-packs', 1.1), ...cpu('nginx', 1.1)]
      const plain = find('nginx', same)
      return [
        against('pack-objects', 'packObjects', 1, 'one run', 1),
        ...cpu('nginx', 1 / 15),
        ...(plain
          ? [against('wall p99, ms', 'wallP99', allowedP99(ours, plain), '1.2 × one alone + the wire', 1)]
          : []),
      ]
    })
}
