import { createHash } from 'node:crypto'

/** In hexadecimal, as token files have it. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
