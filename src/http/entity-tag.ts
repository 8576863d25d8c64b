import type { Entry } from '../streamcache/index.js'

/**
 * Returns the entity tag of an entry's bytes, or of a compressed form of them (RFC 9110, section 8.8.3); undefined while
 * the entry grows.
 */
export function entityTag(entry: Entry, coding?: string): string | undefined {
  const { sha256 } = entry
  return sha256 === undefined ? undefined : `"${sha256}${coding === undefined ? '' : `-${coding}`}"`
}

/** Returns whether an If-None-Match header names the entry, in any form. `*` names every entry (RFC 9110, section 13.1.2). */
export function matchesEntry(header: string, entry: Entry): boolean {
  const { sha256 } = entry
  return header.split(',').some((tag) => {
    const [, value] = /^\s*(?:W\/)?"([0-9a-f]{64})(?:-[a-z]+)?"\s*$/.exec(tag) ?? []
    return tag.trim() === '*' || (value !== undefined && value === sha256)
  })
}
