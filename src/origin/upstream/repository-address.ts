/** Percent-encodes a decoded path for a URL. Bytes that are not UTF-8 are lone surrogates in it (git/filesystem/byte-path.ts). */
export function encodePath(path: string): string {
  const encode = (text: string): string => text.split('/').map(encodeURIComponent).join('/')
  return path
    .split(/((?<![\uD800-\uDBFF])[\uDC80-\uDCFF])/)
    .map((part, index) =>
      index % 2 === 0 ? encode(part) : `%${(part.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`,
    )
    .join('')
}

/**
 * Returns the name under which leases, invalidations and packs know a repository: the same for all names that servers give
 * one repository by themselves, with or without `.git`, in whatever case. That two repositories may share a name costs
 * requests to the upstream, and never a wrong answer.
 * @param url of the upstream
 */
export const subjectOf = (url: string, path: string): string =>
  `${url}/${path.toLowerCase().replace(/\.git$/, '')}`
