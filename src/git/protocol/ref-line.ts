import { packetLength } from './pkt-line.js'

/** One ref of a listing. Names are bytes, which need not be UTF-8: views of the buffer they were read from. */
export interface Ref {
  readonly name: Buffer
  /** In hexadecimal; undefined: HEAD points to an unborn branch. */
  readonly objectId: string | undefined
  /** What a symbolic ref points to. */
  readonly symrefTarget: Buffer | undefined
  /** The object that an annotated tag points to in the end, in hexadecimal. */
  readonly peeled: string | undefined
}

const space = 0x20
const symref = Buffer.from('symref-target:')
const peel = Buffer.from('peeled:')

/** Yields the refs of whole lines of an answer to ls-refs (gitprotocol-v2(5)), up to the flush packet if there is one. */
export function* parseRefs(lines: Buffer): Generator<Ref> {
  for (let at = 0; at < lines.length;) {
    const size = packetLength(lines, at)
    if (!(size > 4)) return
    yield parseRef(lines, at, at + size)
    at += size
  }
}

/**
 * Returns the ref of one line, `<oid or unborn> <name>[ symref-target:<name>][ peeled:<oid>]` with a newline at its end.
 * @param start where the line's packet begins
 * @param end where it ends
 */
export function parseRef(lines: Buffer, start: number, end: number): Ref {
  const line = lines.subarray(start + 4, end - 1)
  const idEnd = line.indexOf(space)
  const id = line.toString('latin1', 0, idEnd)
  let [name, symrefTarget, peeled]: [Buffer?, Buffer?, string?] = []
  for (let at = idEnd + 1; at <= line.length;) {
    const next = line.indexOf(space, at)
    const end = next < 0 ? line.length : next
    const part = line.subarray(at, end)
    if (!name) name = part
    else if (startsWith(part, symref)) symrefTarget = part.subarray(symref.length)
    else if (startsWith(part, peel)) peeled = part.toString('latin1', peel.length)
    at = end + 1
  }
  return { name: name!, objectId: id === 'unborn' ? undefined : id, symrefTarget, peeled }
}

const startsWith = (bytes: Buffer, beginning: Buffer): boolean =>
  bytes.subarray(0, beginning.length).equals(beginning)
