/** How a server derives the path of a repository on its disk from that in its URLs. */
export type RootLayout = 'plain' | 'gitea'

/**
 * Returns the rule by which a repository's path below the root follows from its path below the upstream's URL. Gitea and
 * Forgejo store repositories under names in lower case, with `.git` at the end, and find them in whatever case, and without.
 */
export const diskPathRule = (layout: RootLayout): ((path: string) => string) =>
  layout === 'plain' ? (path) => path : giteaPath

const giteaPath = (path: string): string => `${path.toLowerCase().replace(/\.git$/, '')}.git`
