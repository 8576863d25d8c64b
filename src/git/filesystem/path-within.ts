/**
 * Returns the path from a directory to something at or below it ('' for the directory itself); undefined: it lies
 * outside. Both paths must be absolute and free of links: this compares text and asks the filesystem nothing.
 */
export function pathWithin(directory: string, path: string): string | undefined {
  if (path === directory) return ''
  const start = directory === '/' ? directory : `${directory}/`
  return path.startsWith(start) ? path.slice(start.length) : undefined
}
