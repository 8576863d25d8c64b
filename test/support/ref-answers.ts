import type { RefQuery } from '../../src/git/protocol/ls-refs.js'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import type { RefsAsked } from '../../src/origin/origin.js'

/** Returns the question of a client that asks for these refs with all their attributes. */
export const queryOf = ({ prefixes = [], unborn = false }: RefsAsked): RefQuery => ({
  ...{ peel: true, symrefs: true, unborn, prefixes },
})

/** Returns the same as a request (gitprotocol-v2(5), "ls-refs"). */
export const completeQuery = ({ objectFormat = 'sha1', prefixes = [], unborn = false }: RefsAsked): Buffer =>
  Buffer.concat([
    ...[pktLine('command=ls-refs\n'), pktLine(`object-format=${objectFormat}\n`), Buffer.from('0001')],
    ...['peel\n', 'symrefs\n', ...(unborn ? ['unborn\n'] : [])].map((line) => pktLine(line)),
    ...prefixes.map((prefix) => pktLine(`ref-prefix ${prefix}\n`)),
    flushPacket,
  ])

/** Returns the lines of an answer to ls-refs, by the names of the refs. @param answer in Latin-1 */
export function refsIn(answer: string): Map<string, string> {
  const lines = [...answer.matchAll(/[0-9a-f]{4}((?:unborn|[0-9a-f]{40,64}) (\S+)[^\n]*)\n/g)]
  return new Map(lines.map(([, line, name]) => [name!, line!]))
}
