import { othersMin, raiseLimit } from '../limits/file-descriptors.js'

/**
 * Says what to do about an error that means that there are no file descriptors left; undefined: it means something
 * else.
 * @param limit how many this process may have, if that is known
 */
export function tooFewDescriptors(error: unknown, limit: number | undefined): string | undefined {
  const code = codeOf(error)
  if (code === 'ENFILE') return 'the whole system has too many open files (ENFILE): raise fs.file-max'
  // Node's loader may take a package that it cannot open for one that is not there.
  const hidden = code === 'ERR_MODULE_NOT_FOUND' && limit !== undefined && limit < othersMin
  if (code !== 'EMFILE' && !hidden) return undefined
  const may =
    limit === undefined
      ? 'has no file descriptor left'
      : `may have ${limit} file descriptors, which is too few`
  return `this process ${may}: ${raiseLimit}`
}

/** Of an error, or of what has caused it. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ERR_MODULE_NOT_FOUND') return code
  }
  return undefined
}
