import { randomBytes } from 'node:crypto'

/** Returns a random name, as digests are. */
export const name = (): string => randomBytes(16).toString('base64url')

/** Returns the id of a new mutator lease. */
export const leaseId = (repository: string): string => `${repository}.${name()}`

/** Leaves out properties that are undefined: whether an engine names them does not matter. */
export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
