import t from 'tap'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '../eventually.js'
import { complaint, gitClient } from '../git-client.js'
import { git } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { missingForGitea, startGitea } from './gitea.js'
import { skipReason } from './programs.js'
import { pushAndClone, urlFor } from './smoke.js'

const skip = skipReason('Gitea', missingForGitea())
const client = gitClient(2)

t.test('Gitea: users, tokens, private repositories, hooks, a renamed organisation', { skip }, async (t) => {
  const gitea = await startGitea(t)
  t.match(gitea.name, /^gitea version \d/)
  const { api } = gitea
  await Promise.all([
    api.createUser('alice', 'password of alice'),
    api.createUser('bob', 'password of bob'),
    api.createOrganisation('Acme'),
  ])
  const tool = { owner: 'Acme', name: 'Tool' }
  await api.createRepository({ ...tool, private: true })
  await api.addCollaborator(tool, 'alice', 'write')
  const [token, bobs] = await Promise.all([api.createToken('alice'), api.createToken('bob')])
  const place = tempDir(t)
  const url = `${gitea.url}/Acme/Tool.git`
  const [alices, mine] = [urlFor(url, 'alice', token.secret), urlFor(url, 'bob', bobs.secret)]
  const lastStatus = (): number | undefined => gitea.requests().at(-1)?.status

  t.match(await complaint(client(place, 'ls-remote', url)), /could not read Username/)
  t.equal(lastStatus(), 401)
  await complaint(client(place, 'ls-remote', urlFor(url, 'alice', 'wrong')))
  t.equal(lastStatus(), 401)
  await complaint(client(place, 'ls-remote', mine))
  t.equal(lastStatus(), 404, 'a user who may not read it is not told that it exists')

  await t.test('a push runs its hooks', async (t) => {
    const webhook = createServer((_, response) => response.end()).listen(0, '127.0.0.1')
    await once(webhook, 'listening')
    t.teardown(() => {
      webhook.close()
      webhook.closeAllConnections()
    })
    const called = once(webhook, 'request')
    await api.createWebhook(tool, `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/`, 'secret')
    const commit = await pushAndClone(t, alices)
    t.equal(git(`${gitea.repositoriesRoot}/acme/tool.git`, 'rev-parse', 'refs/heads/main'), commit)
    // A queue of Gitea's does the rest after the push.
    await eventually(
      'the branch is in the database',
      async () => (await api.branches(tool))['main'] === commit,
    )
    await called
    await eventually('the push is in the feed', async () => (await api.pushers(tool)).length > 0)
    t.same(await api.pushers(tool), ['alice'])
    await api.protectBranch(tool, 'main')
    await client(place, 'clone', '--quiet', alices, 'work')
    const push = client(`${place}/work`, 'push', 'origin', '--force', 'HEAD~0:refs/heads/main')
    t.equal(await push, '', 'there is nothing to push')
    await client(`${place}/work`, 'commit', '--quiet', '--allow-empty', '-m', 'more')
    t.match(await complaint(client(`${place}/work`, 'push', 'origin', 'HEAD:main')), /protected branch/)
  })

  await t.test('what is public can be read by all, and be made private again', async (t) => {
    await api.setVisibility(tool, 'public')
    await client(place, 'ls-remote', url)
    await client(place, 'ls-remote', mine)
    await api.setVisibility(tool, 'private')
    await complaint(client(place, 'ls-remote', url))
    t.equal(lastStatus(), 401)
    await api.addCollaborator(tool, 'bob', 'read')
    await client(place, 'ls-remote', mine)
    await complaint(client(`${place}/work`, 'push', mine, 'HEAD:refs/heads/bobs'))
    await api.removeCollaborator(tool, 'bob')
    await complaint(client(place, 'ls-remote', mine))
    t.equal(lastStatus(), 404)
  })

  await t.test('an organisation is renamed: the old name redirects', async (t) => {
    await api.renameOrganisation('Acme', 'Acme-2')
    const before = gitea.requests().length
    await client(place, 'ls-remote', alices)
    const statuses = gitea.requests().slice(before)
    t.ok(statuses.some(({ status, target }) => status === 307 && target.startsWith('/Acme/')))
    t.ok(statuses.some(({ status, target }) => status === 200 && target.startsWith('/Acme-2/')))
    await client(place, 'ls-remote', urlFor(`${gitea.url}/Acme-2/Tool.git`, 'alice', token.secret))
  })

  await t.test('a token is revoked', async (t) => {
    await api.revokeToken('alice', token)
    await complaint(client(place, 'ls-remote', urlFor(`${gitea.url}/Acme-2/Tool.git`, 'alice', token.secret)))
    t.equal(lastStatus(), 401)
  })
})
