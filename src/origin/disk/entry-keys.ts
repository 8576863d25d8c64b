import type { FreshCache } from '../../freshness/fresh-cache.js'

/** What the cache may hold for a repository: kinds of entries, and the variants of each. */
const variants = { advertisement: ['v0', 'v1', 'v2'], listing: ['sha1', 'sha256'] } as const

export type EntryKind = keyof typeof variants

/**
 * Returns the key of an entry.
 * @param variant a protocol version of an advertisement, or the object format of a listing
 */
export const keyOf = (kind: EntryKind, variant: string, gitDir: string): string =>
  `${kind} ${variant} ${gitDir}`

/** Returns every key under which the cache may hold an entry of a repository. */
export const keysOf = (gitDir: string): string[] =>
  (Object.keys(variants) as EntryKind[]).flatMap((kind) =>
    variants[kind].map((variant) => keyOf(kind, variant, gitDir)),
  )

/**
 * Drops what is kept of a repository, so that it does not come back after a restart. Linked worktrees have keys of their
 * own; what is kept of them stays, but answers no request: their generation is the repository's.
 */
export function forgetRepository(cache: FreshCache, commonDir: string): void {
  for (const key of keysOf(commonDir)) cache.forget(key)
}
