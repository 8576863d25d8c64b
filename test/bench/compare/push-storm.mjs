// The mutation storm on two sizes, with splices on and off, beside Varnish. Not part of a whole comparison:
//
//   node test/bench/compare.mjs push-storm
import { pushContenders } from './contenders.mjs'
import { summarize } from './measure.mjs'
import { storm } from './mutation-storm.mjs'

export const title = 'Push storm'

export async function run({ repositories, quick }) {
  const contenders = pushContenders().filter(({ missing }) => missing.length === 0)
  const rows = []
  for (const repository of [repositories.large, repositories.huge].filter(Boolean))
    rows.push(...(await storm({ contenders, repositories, quick }, repository)))
  return { rows: summarize(rows, ['refs', 'server']), rounds: rows, rivals: ['varnish', 'refstream'] }
}
