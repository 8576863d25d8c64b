/** Errors that say that there is nothing that Git could read either. ENOTDIR: `/dev/null/.gitconfig`. */
const absent = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'])

/** Is it an error of a system call? */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'

/** Does an error say that there is nothing at a path that Git could read? */
export const isAbsent = (error: unknown): boolean => isSystemError(error) && absent.has(error.code ?? '')

/** Does an error say something of this process or machine, and nothing of what was to be read? */
export const isTransient = (error: unknown): boolean => isSystemError(error) && !isAbsent(error)

/**
 * Throws an error again that says something of this process or machine, and nothing of what was to be read: no
 * descriptors are left (EMFILE), a disk fails (EIO). What it would be taken for would be wrong, and might be remembered.
 */
export function throwIfTransient(error: unknown): void {
  if (isTransient(error)) throw error
}
