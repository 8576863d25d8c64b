import { packetLength } from './pkt-line.js'

/** Commands of protocol v2 that are answered here. */
export type Command = 'ls-refs' | 'fetch'

const newline = 0x0a
const commands = (['ls-refs', 'fetch'] as const).map(
  (name) => [name, Buffer.from(`command=${name}`)] as const,
)

/** Returns the command that the first packet of a request body names; undefined: another one, or the packet is cut. */
export function commandOf(beginning: Buffer): Command | undefined {
  const end = packetLength(beginning, 0)
  if (!(end <= beginning.length)) return undefined
  for (const [name, line] of commands) {
    const lineEnd = 4 + line.length
    const isWhole = end === lineEnd || (end === lineEnd + 1 && beginning[lineEnd] === newline)
    if (isWhole && beginning.compare(line, 0, line.length, 4, lineEnd) === 0) return name
  }
  return undefined
}
