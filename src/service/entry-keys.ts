/** What there may be of a repository in the cache. */
const variants = { advertisement: ['v0', 'v1', 'v2'], listing: ['sha1', 'sha256'] } as const

export type EntryKind = keyof typeof variants

/** The key of what is made of one repository: of one kind, in one protocol version or object format. */
export const keyOf = (kind: EntryKind, variant: string, gitDir: string): string =>
  `${kind} ${variant} ${gitDir}`

/** The keys under which the cache may hold something of a repository. */
export const keysOf = (gitDir: string): string[] =>
  (Object.keys(variants) as EntryKind[]).flatMap((kind) =>
    variants[kind].map((variant) => keyOf(kind, variant, gitDir)),
  )
