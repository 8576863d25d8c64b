import { pathText } from '../filesystem/byte-path.js'

/**
 * Returns the path of a repository that a URL gives: percent-decoded once, repeated slashes taken for one, as web servers
 * do. Bytes that are not UTF-8 are kept, see `pathText`. undefined for a path that `isRepositoryPath` refuses and for a
 * percent sign without two digits.
 */
export function decodeRepositoryPath(encoded: string): string | undefined {
  const bytes = decodePercent(encoded)
  if (!bytes) return undefined
  const path = pathText(bytes)
    .replace(/\/{2,}/g, '/')
    .replace(/^\/|\/$/g, '')
  return path === '' || isRepositoryPath(path) ? path : undefined
}

/** undefined: a percent sign is not followed by two hexadecimal digits (RFC 3986, section 2.1). */
function decodePercent(encoded: string): Buffer | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(encoded)) return undefined
  // The rest is ASCII, or bytes as Latin-1 (node:http).
  const decoded = encoded.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
  return Buffer.from(decoded, 'latin1')
}

/** Most bytes of a repository's path: no filesystem takes more (Linux's PATH_MAX). */
export const repositoryPathMax = 4096

/** Returns whether this may be a path below the root: one without `..`, `.`, empty components and NUL (R8). */
export function isRepositoryPath(path: string): boolean {
  return path.split('/').every((name) => !['', '.', '..'].includes(name) && !name.includes('\0'))
}
