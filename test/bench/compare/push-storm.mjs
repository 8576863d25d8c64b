// The mutation storm on two sizes, with splices on and off, beside Varnish.
import { pushContenders } from './contenders.mjs'
import { summarize } from './measure.mjs'
import { storm } from './mutation-storm.mjs'

export const title = 'Push storm'

export async function run({ repositories, quick, short }) {
  const contenders = pushContenders().filter(({ missing }) => missing.length === 0)
  const rows = []
  const chosen = short ? [repositories.large] : [repositories.large, repositories.huge].filter(Boolean)
  for (const repository of chosen)
    rows.push(...(await storm({ contenders, repositories, quick, short }, repository)))
  return { rows: summarize(rows, ['refs', 'server']), rounds: rows, rivals: ['varnish', 'refstream'] }
}
