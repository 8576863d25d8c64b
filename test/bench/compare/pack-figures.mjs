// What is made of the load generator's records of clients that fetch: each asks one or two things first, and then the fetch.
import { quantile } from '../rig.mjs'

/** Records by client, in the order in which they ended. (Map.groupBy is not in Node 20.) */
function byClient(records) {
  const groups = new Map()
  for (const record of records) {
    const own = groups.get(record.session)
    if (own) own.push(record)
    else groups.set(record.session, [record])
  }
  return [...groups.values()]
}

/**
 * What was wrong with an answer; empty if nothing was. Two packs of the same objects need not be the same bytes, so a fetch
 * is right if it ends in a flush packet and is about as long as Git's own (if that is known).
 */
export function faultOf({ name, result, status, length, endsInFlush }, bytes) {
  if (result !== 'ok') return result
  if (status !== 200) return `status ${status}`
  if (name !== 'fetch') return ''
  if (!endsInFlush) return 'without its end'
  return bytes && Math.abs(length / bytes - 1) > 0.05 ? 'of another length' : ''
}

/**
 * p50 and p99 in ms, over clients: wall time from the moment at which a client was due until its last answer was whole, and
 * first byte of its fetch since it was asked for; with what was wrong in words.
 */
export function pullTogether(records, clients, bytes) {
  const counts = new Map()
  const blame = (fault) => fault && counts.set(fault, (counts.get(fault) ?? 0) + 1)
  const [walls, firsts] = [[], []]
  for (const own of byClient(records)) {
    const wrong = own.map((record) => faultOf(record, bytes)).find(Boolean)
    const fetch = own.find(({ name }) => name === 'fetch')
    blame(wrong ?? (fetch ? '' : 'without a fetch'))
    if (wrong || !fetch) continue
    walls.push(own.at(-1).last - own[0].due)
    firsts.push(fetch.first - fetch.due)
  }
  const others = clients - walls.length - [...counts.values()].reduce((sum, count) => sum + count, 0)
  if (others > 0) counts.set('unanswered', others)
  return {
    ...{ firstP50: quantile(firsts, 0.5), firstP99: quantile(firsts, 0.99) },
    ...{ wallP50: quantile(walls, 0.5), wallP99: quantile(walls, 0.99) },
    faults: [...counts].map(([fault, count]) => `${count} ${fault}`).join(', '),
  }
}
