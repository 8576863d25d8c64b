import type { PacketCursor } from './pkt-line.js'

/**
 * Why a POST to git-upload-pack is not shared: an argument or capability that is not known here; not a well-formed fetch;
 * a pack without side-band (v0).
 */
export type UnsharedReason = 'arguments' | 'malformed' | 'raw'

const reasons: readonly string[] = ['arguments', 'malformed', 'raw'] satisfies UnsharedReason[]

export const isReason = (result: string): result is UnsharedReason => reasons.includes(result)

/**
 * What an answer depends on besides objects, configuration and the request: nothing, the tags (include-tag), or all refs
 * (want-ref, deepen-not, v0, v1).
 */
export type FetchDependency = 'objects' | 'tags' | 'refs'

/** What a line names an object for. */
export type ObjectKeyword = 'want' | 'have' | 'shallow'

const [have, want, shallow] = ['have ', 'want ', 'shallow '].map((text) => Buffer.from(text)) as [
  Buffer,
  Buffer,
  Buffer,
]

/** Returns the keyword with which a line begins, if the line names an object; reads bytes, for there are many such lines. */
export function objectKeyword({ bytes, start }: PacketCursor): ObjectKeyword | undefined {
  switch (bytes[start]) {
    case have[0]:
      return beginsWith(bytes, start, have) ? 'have' : undefined
    case want[0]:
      return beginsWith(bytes, start, want) ? 'want' : undefined
    case shallow[0]:
      return beginsWith(bytes, start, shallow) ? 'shallow' : undefined
    default:
      return undefined
  }
}

function beginsWith(bytes: Buffer, at: number, beginning: Buffer): boolean {
  for (let index = 0; index < beginning.length; index++) {
    if (bytes[at + index] !== beginning[index]) return false
  }
  return true
}

/**
 * Returns where the object id ends that follows a keyword; undefined: there is no whole one, in lower case. Git takes
 * capitals too, which no client writes.
 */
export function objectIdEnd(
  cursor: PacketCursor,
  keyword: ObjectKeyword,
  digits: number,
): number | undefined {
  const { bytes, start } = cursor
  const from = start + keyword.length + 1
  const end = from + digits
  if (end > cursor.end) return undefined
  for (let at = from; at < end; at++) if (isHexDigit[bytes[at] as number] !== 1) return undefined
  return end
}

const isHexDigit = Uint8Array.from({ length: 256 }, (_, code) =>
  Number(/[0-9a-f]/.test(String.fromCharCode(code))),
)

/** Number of hexadecimal digits of an object id. */
export const objectIdDigits = (objectFormat: string): number => (objectFormat === 'sha256' ? 64 : 40)

/**
 * The lines of a request that limit what is sent, which all protocol versions have: `deepen`, `deepen-since`, `deepen-not`,
 * `filter` (upload-pack.c, process_deepen and others; list-objects-filter-options.c).
 */
export class FetchLimits {
  /** Is history cut at a number of commits; at a time or at a ref? Git refuses both together. */
  byDepth = false
  byRevisions = false
  /** Is a ref named? */
  byRef = false
  #isFiltered = false

  /** Takes a line; returns why it cannot be shared, or undefined. */
  take(line: string, digits: number): UnsharedReason | undefined {
    const space = line.indexOf(' ')
    const value = line.slice(space + 1)
    switch (space < 0 ? undefined : line.slice(0, space)) {
      case 'deepen':
        this.byDepth = true
        return isDepth(value) ? undefined : 'malformed'
      case 'deepen-since':
        this.byRevisions = true
        return /^\d{1,18}$/.test(value) && isDecimal(value) ? undefined : 'malformed'
      case 'deepen-not':
        this.byRevisions = this.byRef = true
        return isObservedRef(value) ? undefined : 'arguments'
      case 'filter':
        if (this.#isFiltered) return 'malformed'
        this.#isFiltered = true
        return isFilter(value, digits) ? undefined : 'arguments'
      default:
        return 'arguments'
    }
  }

  get areMixed(): boolean {
    return this.byDepth && this.byRevisions
  }

  get any(): boolean {
    return this.byDepth || this.byRevisions
  }
}

/** Git would read a number with a zero before it as octal (strtol(3) with base 0). */
const isDecimal = (digits: string): boolean => digits === '0' || !digits.startsWith('0')

const isDepth = (value: string): boolean =>
  /^\d{1,10}$/.test(value) && isDecimal(value) && Number(value) > 0 && Number(value) <= 0x7fff_ffff

/**
 * Tells whether a name can only be that of a ref whose changes are observed. Git also reads files of the repository as refs:
 * ORIG_HEAD and its like, refs of work trees, refs of submodules (gitrepository-layout(5)).
 */
export function isObservedRef(name: string): boolean {
  if (name === 'HEAD' || name.startsWith('refs/')) return true
  return !/^[A-Z_-]*$/.test(name) && !/^(?:worktrees|main-worktree|modules|logs)\//.test(name)
}

/**
 * Is it a filter that depends on objects alone, and that Git knows? `sparse:oid` also takes the name of a revision, which may
 * move, even with time (gitrevisions(7)).
 */
function isFilter(spec: string, digits: number): boolean {
  if (spec.length > 4096) return false
  const combined = 'combine:'
  const parts = spec.startsWith(combined) ? spec.slice(combined.length).split('+') : [spec]
  return parts.every((part) => {
    const [, sparse] = /^sparse:oid=([0-9a-f]+)$/.exec(part) ?? []
    return sparse === undefined ? objectFilter.test(part) : sparse.length === digits
  })
}

const objectFilter =
  /^(?:blob:none|blob:limit=\d{1,12}[kmgKMG]?|tree:\d{1,9}|object:type=(?:commit|tree|blob|tag))$/
