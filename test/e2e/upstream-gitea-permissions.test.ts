import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { complaint, gitClient } from '../support/git-client.js'
import { git } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { checkHooks } from '../support/upstreams/gitea-claims.js'
import type { GiteaServer } from '../support/upstreams/gitea.js'
import { skipReason } from '../support/upstreams/programs.js'
import { urlFor } from '../support/upstreams/smoke.js'
import { stageKinds, startGiteaStage, urlOf } from '../support/upstreams/stages.js'

const client = gitClient(2)
const open = { owner: 'Team', name: 'Open' }
const secret = { owner: 'Team', name: 'Secret' }
/** Each verdict of the server is asked for anew. */
const unremembered = ['--auth-cache-seconds', '0']

t.test('Gitea decides', { skip: skipReason('Gitea', stageKinds.Gitea.missing()) }, async (t) => {
  const { server } = await startGiteaStage(t)
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', server.url] })
  await t.test('a push through refstream runs its hooks', (t) => checkHooks(t, server.api, url))
  await t.test('refstream has a token of its own', (t) => checkService(t, server))
  await t.test('its permissions hold at once', (t) => checkPermissions(t, server))
  await t.test('the old name of a renamed organisation leads to it', (t) => checkRenamed(t, server, url))
})

async function checkService(t: Test, server: GiteaServer): Promise<void> {
  const place = tempDir(t)
  const token = await server.api.createToken('alice', 'refstream')
  const file = join(place, 'credential')
  writeFileSync(file, `alice:${token.secret}\n`, { mode: 0o600 })
  const service = ['--upstream-credentials', 'service', '--upstream-credential-file', file]
  const args = ['--upstream', server.url, ...service, ...unremembered]
  const { url } = await startSidecar(t, undefined, { args })
  for (const version of [0, 1, 2] as const) {
    const listed = gitClient(version)(place, 'ls-remote', urlOf(url, 'Team/Secret'))
    t.match(await listed, /refs\/heads\/main/, `v${version}: its clients need no credentials`)
  }
  await client(place, 'clone', '--quiet', urlOf(url, 'Team/Secret'), 'work')
  const work = join(place, 'work')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/by-service')
  t.match(await server.api.branches(secret), { 'by-service': git(work, 'rev-parse', 'HEAD') })
  await server.api.revokeToken('alice', token)
  const said = await complaint(client(place, 'ls-remote', urlOf(url, 'Team/Secret')))
  t.match(said, /503/, 'that its token is wrong is no fault of the client')
  t.notMatch(said, token.secret)
}

async function checkPermissions(t: Test, server: GiteaServer): Promise<void> {
  const { api } = server
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', server.url, ...unremembered] })
  const place = tempDir(t)
  const token = await api.createToken('alice')
  const withToken = urlFor(`${url}/Team/Secret.git`, 'alice', token.secret)

  t.match(await client(place, 'ls-remote', withToken), /refs\/heads\/main/)
  await api.revokeToken('alice', token)
  t.match(await complaint(client(place, 'ls-remote', withToken)), /Authentication failed/, 'a revoked token')
  const [alice, bob] = [urlOf(url, 'Team/Secret', 'alice'), urlOf(url, 'Team/Secret', 'bob')]
  t.match(await client(place, 'ls-remote', alice), /refs\/heads\/main/, 'her password is still right')

  t.match(await complaint(client(place, 'ls-remote', bob)), /not found/)
  await api.addCollaborator(secret, 'bob', 'read')
  t.match(await client(place, 'ls-remote', bob), /refs\/heads\/main/, 'a reader who was added')
  await api.removeCollaborator(secret, 'bob')
  t.match(await complaint(client(place, 'ls-remote', bob)), /not found/, 'and removed')

  const anyone = urlOf(url, 'team/open.git')
  t.match(await client(place, 'ls-remote', anyone), /refs\/heads\/main/)
  await api.setVisibility(open, 'private')
  t.match(await complaint(client(place, 'ls-remote', anyone)), /could not read Username/, 'made private')
  await api.setVisibility(open, 'public')
  t.match(await client(place, 'ls-remote', anyone), /refs\/heads\/main/, 'and public')

  await api.deleteRepository(open)
  t.match(await complaint(client(place, 'ls-remote', anyone)), /could not read Username/, 'deleted')
}

async function checkRenamed(t: Test, server: GiteaServer, url: string): Promise<void> {
  const place = tempDir(t)
  const old = urlOf(url, 'Team/Secret.git', 'alice')
  const expected = await client(place, 'ls-remote', old)
  await server.api.renameOrganisation('Team', 'Crew')
  for (const version of [0, 1, 2] as const) {
    t.equal(await gitClient(version)(place, 'ls-remote', old), expected, `v${version}`)
    await gitClient(version)(place, 'clone', '--quiet', old, `old-${version}`)
  }
  t.equal(await client(place, 'ls-remote', urlOf(url, 'Crew/Secret', 'alice')), expected)
  const work = join(place, 'old-2')
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'to the old name')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:main')
  t.match(
    await client(place, 'ls-remote', urlOf(url, 'crew/secret', 'alice')),
    git(work, 'rev-parse', 'HEAD'),
  )
}
