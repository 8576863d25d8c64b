import picomatch from 'picomatch'

/**
 * Does a repository's path below the root match? `**` is for all, also for a root that is itself a repository, which has no
 * name below it: it goes by `.`.
 */
export const pathMatcher = (glob: string): ((path: string) => boolean) =>
  glob === '**' ? () => true : picomatch(glob, { dot: true })
