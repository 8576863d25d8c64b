/** Most refs that a lease may name at its end. */
export const changedRefsMax = 1000

/** Longest name of a ref in bytes: more than filesystems permit. */
const nameMax = 4096

/** A name that no ref can have. */
export class MalformedRefName extends Error {
  override readonly name = 'MalformedRefName'
}

/**
 * Returns the names of refs that a lease has changed, as leases keep them: bytes as Latin-1.
 * @returns undefined: none or too many are named, so that any ref may have changed
 * @throws MalformedRefName
 */
export function changedRefs(names: readonly (Buffer | string)[]): readonly string[] | undefined {
  // Before anything is copied: there may be very many.
  if (names.length === 0 || names.length > changedRefsMax) return undefined
  return names.map((name) => {
    const bytes = typeof name === 'string' ? Buffer.from(name) : name
    const text = bytes.toString('latin1')
    if (isFullName(text)) return text
    const shown = JSON.stringify(bytes.toString('utf8', 0, 100))
    throw new MalformedRefName(`${shown} is not the full name of a ref, such as refs/heads/main, or HEAD`)
  })
}

/** Bytes and sequences that git-check-ref-format(1) excludes: control characters, space, and what revisions and globs use. */
const excluded = /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$/

/** May a ref have this name, by git-check-ref-format(1)? */
const isFullName = (name: string): boolean =>
  name === 'HEAD' ||
  (/^refs\/./.test(name) &&
    name.length <= nameMax &&
    !excluded.test(name) &&
    !name.split('/').some((part) => part.startsWith('.') || part.endsWith('.lock')))
