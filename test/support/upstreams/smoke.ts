import type { Test } from 'tap'
import { gitClient } from '../git-client.js'
import { git } from '../repositories.js'
import { tempDir } from '../temp-dir.js'

/** Returns a URL with a user's name and password. */
export function urlFor(url: string, user: string, password: string): string {
  const full = new URL(url)
  full.username = encodeURIComponent(user)
  full.password = encodeURIComponent(password)
  return full.href
}

/**
 * Clones, commits and pushes to main with a Git client, and clones again with each protocol version.
 *
 * @returns the commit
 */
export async function pushAndClone(t: Test, url: string): Promise<string> {
  const place = tempDir(t)
  const client = gitClient(2)
  await client(place, 'clone', '--quiet', url, 'work')
  const work = `${place}/work`
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'pushed')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
  const commit = git(work, 'rev-parse', 'HEAD')
  for (const version of [0, 1, 2] as const) {
    const copy = `v${version}`
    await gitClient(version)(place, 'clone', '--quiet', '--branch=main', url, copy)
    t.equal(git(`${place}/${copy}`, 'rev-parse', 'HEAD'), commit, `protocol version ${version}`)
  }
  return commit
}
