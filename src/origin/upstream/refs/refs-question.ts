import { hash } from 'node:crypto'
import { canonicalPrefixes } from '../../../git/protocol/listing-answer.js'
import { flushPacket, pktLine } from '../../../git/protocol/pkt-line.js'
import type { RefsAsked } from '../../origin.js'

/**
 * What an upstream is asked about refs: a set of prefixes, in one form for all clients that ask the same. Peeled tags and the
 * targets of symbolic refs are always asked for, since answers without them can be cut from answers with them.
 */
export class RefsQuestion {
  readonly objectFormat: string
  readonly unborn: boolean
  /** Sorted, none the beginning of another; one empty prefix: all refs. */
  readonly prefixes: readonly string[]

  constructor({ objectFormat = 'sha1', unborn = false, prefixes = [] }: RefsAsked) {
    this.objectFormat = objectFormat
    this.unborn = unborn
    // No name of a ref begins with a slash.
    this.prefixes = canonicalPrefixes(prefixes).filter((prefix) => !prefix.startsWith('/'))
  }

  /** Names the question, without a space. */
  get name(): string {
    const { objectFormat, unborn, prefixes } = this
    return hash('sha256', JSON.stringify([objectFormat, unborn, prefixes]), 'base64url')
  }

  /** Characters of all prefixes. */
  get size(): number {
    return this.prefixes.reduce((sum, { length }) => sum + length, 0)
  }

  /** Has the answer to this question all that another one asks for? */
  covers(other: RefsQuestion): boolean {
    return (
      this.objectFormat === other.objectFormat &&
      (this.unborn || !other.unborn) &&
      other.prefixes.every((wanted) => this.prefixes.some((prefix) => wanted.startsWith(prefix)))
    )
  }

  /** The request (gitprotocol-v2(5), "ls-refs"). */
  get body(): Buffer {
    const { objectFormat, unborn, prefixes } = this
    const isAll = prefixes.length === 1 && prefixes[0] === ''
    // A request without a prefix would ask for all refs; no name of one begins with a slash.
    const asked = isAll ? [] : prefixes.length === 0 ? ['/'] : prefixes
    return Buffer.concat([
      pktLine('command=ls-refs\n'),
      pktLine(`object-format=${objectFormat}\n`),
      Buffer.from('0001'),
      ...['peel\n', 'symrefs\n', ...(unborn ? ['unborn\n'] : [])].map((line) => pktLine(line)),
      ...asked.map((prefix) => pktLine(Buffer.from(`ref-prefix ${prefix}\n`, 'latin1'))),
      flushPacket,
    ])
  }
}
