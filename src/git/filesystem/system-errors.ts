/** Errors that mean that Git could not read the path either. ENOTDIR: `/dev/null/.gitconfig`. */
const absent = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'])

/** Is it an error of a system call? */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'

/** Does an error mean that there is nothing at a path that Git could read? */
export const isAbsent = (error: unknown): boolean => isSystemError(error) && absent.has(error.code ?? '')

/** Does an error describe the state of this process or machine rather than the path? */
export const isTransient = (error: unknown): boolean => isSystemError(error) && !isAbsent(error)

/**
 * Rethrows an error that describes the state of this process or machine rather than the path: no file descriptors are left
 * (EMFILE), a disk fails (EIO). Taken for absence, it would be a wrong result, which might be remembered.
 */
export function throwIfTransient(error: unknown): void {
  if (isTransient(error)) throw error
}
