/** Milliseconds for which a lease is given that its holder keeps open; it outlives a crash of the holder by as much. */
export const heldLeaseMs = 60_000

/** Returns the milliseconds after which a holder renews its lease: two renewals may fail before it expires. */
export const renewalIntervalMs = (ttlMs: number): number => ttlMs / 3
