import { othersMin, raiseLimit } from '../limits/file-descriptors.js'

/**
 * Describes an error that means that file descriptors have run out, with a remedy; undefined: it is another error.
 * @param limit of this process; undefined: unknown
 */
export function tooFewDescriptors(error: unknown, limit: number | undefined): string | undefined {
  const code = codeOf(error)
  if (code === 'ENFILE') return 'the whole system has too many open files (ENFILE): raise fs.file-max'
  // Node's loader may report a package that it cannot open as missing.
  const hidden = code === 'ERR_MODULE_NOT_FOUND' && limit !== undefined && limit < othersMin
  if (code !== 'EMFILE' && !hidden) return undefined
  const problem =
    limit === undefined
      ? 'this process has no file descriptor left'
      : `the file descriptor limit of this process, ${limit}, is too low`
  return `${problem}: ${raiseLimit}`
}

/** Returns the code of an error, or of its causes. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ERR_MODULE_NOT_FOUND') return code
  }
  return undefined
}
