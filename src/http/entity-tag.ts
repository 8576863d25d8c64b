/** Returns the entity tag of bytes with this digest, or of a compressed form of them (RFC 9110, section 8.8.3). */
export const tagOf = (sha256: string, coding?: string): string =>
  `"${sha256}${coding === undefined ? '' : `-${coding}`}"`

/** Returns the digests of bytes that an If-None-Match header names, in any form. */
export function digestsIn(header: string): string[] {
  return header.split(',').flatMap((tag) => {
    const [, value] = /^\s*(?:W\/)?"([0-9a-f]{64})(?:-[a-z]+)?"\s*$/.exec(tag) ?? []
    return value === undefined ? [] : [value]
  })
}

/**
 * Returns whether an If-None-Match header names bytes with this digest, in any form. `*` names all (RFC 9110, section
 * 13.1.2).
 * @param sha256 undefined: the bytes have no digest yet
 */
export function matchesDigest(header: string, sha256: string | undefined): boolean {
  if (header.split(',').some((tag) => tag.trim() === '*')) return true
  return sha256 !== undefined && digestsIn(header).includes(sha256)
}
