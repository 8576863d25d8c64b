import type { Entry } from '../streamcache/index.js'

/** The entity tag of an entry's bytes, or of a compressed form of them (RFC 9110, section 8.8.3). */
export function entityTag(entry: Entry, coding?: string): string | undefined {
  const { sha256 } = entry
  return sha256 === undefined ? undefined : `"${sha256}${coding === undefined ? '' : `-${coding}`}"`
}

/** Does an If-None-Match header name the entry, in whatever form? `*` names everything that there is. */
export function matchesEntry(header: string, entry: Entry): boolean {
  const { sha256 } = entry
  return header.split(',').some((tag) => {
    const [, value] = /^\s*(?:W\/)?"([0-9a-f]{64})(?:-[a-z]+)?"\s*$/.exec(tag) ?? []
    return tag.trim() === '*' || (value !== undefined && value === sha256)
  })
}
