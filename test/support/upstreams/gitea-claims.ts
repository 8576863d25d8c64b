import { join } from 'node:path'
import type { Test } from 'tap'
import { eventually } from '../eventually.js'
import { complaint, gitClient } from '../git-client.js'
import { git } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import type { GiteaApi } from './gitea-api.js'
import { urlOf } from './stages.js'

const client = gitClient(2)
const open = { owner: 'Team', name: 'Open' }

/** Pushes to a stage's open repository through this URL, and checks that Gitea's hooks have run and can refuse. */
export async function checkHooks(t: Test, api: GiteaApi, url: string): Promise<void> {
  const place = tempDir(t)
  await client(place, 'clone', '--quiet', urlOf(url, 'Team/Open', 'bob'), 'work')
  const work = join(place, 'work')
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'through')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:main', 'HEAD:refs/heads/new')
  const commit = git(work, 'rev-parse', 'HEAD')
  await eventually('the branch is in the database', async () => (await api.branches(open))['new'] === commit)
  await eventually('the push is told to be bob’s', async () => (await api.pushers(open)).includes('bob'))

  const agit = ['push', '-o', 'topic=proposed', '-o', 'title=A title', 'origin', 'HEAD:refs/for/main']
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'proposed')
  await client(work, ...agit)
  const proposed = `${git(work, 'rev-parse', 'HEAD')}\trefs/pull/1/head`
  t.match(
    await client(place, 'ls-remote', urlOf(url, 'Team/Open')),
    proposed,
    'push options make a pull request',
  )
  git(work, 'reset', '--quiet', '--hard', commit)

  await api.protectBranch(open, 'main')
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'not allowed')
  const said = await complaint(client(work, 'push', 'origin', 'HEAD:main'))
  t.match(said, /remote: .*Not allowed to push to protected branch main/)
  t.match(await client(place, 'ls-remote', urlOf(url, 'Team/Open'), 'main'), commit)
}
