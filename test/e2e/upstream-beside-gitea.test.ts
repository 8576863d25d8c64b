import t from 'tap'
import { join } from 'node:path'
import type { Test } from 'tap'
import { complaint, gitClient } from '../support/git-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { checkHooks } from '../support/upstreams/gitea-claims.js'
import { skipReason } from '../support/upstreams/programs.js'
import { stageKinds, startGiteaStage, urlOf, type User } from '../support/upstreams/stages.js'

const skip = skipReason('Gitea', stageKinds.Gitea.missing())
const client = gitClient(2)

t.test('refstream beside Gitea: the disk’s answers under Gitea’s verdict', { skip }, async (t) => {
  const { server } = await startGiteaStage(t)
  const layout = ['--root-layout', 'gitea', '--export-all']
  const sidecar = await startSidecar(t, server.repositoriesRoot, {
    args: ['--upstream', server.url, ...layout, '--auth-cache-seconds', '0'],
    environment: { HOME: server.gitHome },
  })
  const { url } = sidecar
  const place = tempDir(t)

  await t.test('its answers are those of Gitea', async (t) => {
    for (const version of [0, 1, 2]) {
      const headers: Record<string, string> = version === 0 ? {} : { 'Git-Protocol': `version=${version}` }
      const [direct, own] = [await body(server.url, headers), await body(url, headers)]
      // Gitea writes the announcement in v2 too, and Git's own server does not.
      t.equal(
        own,
        version === 2 ? direct.replace('001e# service=git-upload-pack\n0000', '') : direct,
        `v${version}`,
      )
    }
  })

  await t.test('refs and packs come from the disk', async (t) => {
    const before = server.requests().length
    await client(place, 'clone', '--quiet', urlOf(url, 'Team/Open.git'), 'copy')
    const asked = server.requests().slice(before)
    t.notOk(
      asked.some(({ method }) => method === 'POST'),
      'Gitea is asked for its verdict, and nothing else',
    )
    t.ok((await sidecar.metric('refstream_requests_total', { kind: 'upload-pack', outcome: 'filled' })) > 0)
  })

  await t.test('a push at Gitea is seen at once', async (t) => {
    await client(place, 'clone', '--quiet', urlOf(server.url, 'Team/Open', 'alice'), 'work')
    const work = join(place, 'work')
    for (const version of [0, 1, 2] as const) {
      await client(work, 'commit', '--quiet', '--allow-empty', '-m', `direct ${version}`)
      await client(work, 'push', '--quiet', 'origin', 'HEAD:main')
      const listed = await gitClient(version)(place, 'ls-remote', urlOf(url, 'TEAM/open'), 'main')
      t.match(listed, git(work, 'rev-parse', 'HEAD'), `v${version}`)
    }
    await server.api.createBranch({ owner: 'Team', name: 'Open' }, 'by-api')
    t.match(await client(place, 'ls-remote', urlOf(url, 'Team/Open')), /refs\/heads\/by-api/)
  })

  await t.test('a private repository is read by those whom Gitea lets read it', (t) =>
    checkSecret(t, sidecar),
  )
  await t.test('pushes go to Gitea', (t) => checkHooks(t, server.api, url))
  await t.test('what is not on the disk is answered by Gitea', async (t) => {
    const nothing = (base: string): Promise<string> =>
      complaint(client(place, 'ls-remote', urlOf(base, 'Team/Nothing', 'alice')))
    const address = /127\.0\.0\.1:\d+/g
    t.equal((await nothing(url)).replace(address, ''), (await nothing(server.url)).replace(address, ''))
    t.equal((await ask(`${url}/api/v1/version`)).status, 200, 'as everything else is')
  })
})

const body = async (url: string, headers: Record<string, string>): Promise<string> =>
  (await ask(infoRefs(url, 'Team/Open.git'), { headers })).body.toString('latin1')

async function checkSecret(t: Test, { url }: SpawnedSidecar): Promise<void> {
  const place = tempDir(t)
  const remote = (user?: User, password?: string): string => urlOf(url, 'team/secret', user, password)
  t.match(await client(place, 'ls-remote', remote('alice')), /refs\/heads\/main/)
  t.match(await complaint(client(place, 'ls-remote', remote())), /could not read Username/)
  t.match(await complaint(client(place, 'ls-remote', remote('alice', 'wrong'))), /Authentication failed/)
  t.match(await complaint(client(place, 'ls-remote', remote('bob'))), /not found/)
  t.match(await complaint(client(place, 'clone', remote('bob'), 'copy')), /not found/)
  const post = { method: 'POST', headers: { 'Git-Protocol': 'version=2' }, body: '0014command=ls-refs\n0000' }
  t.equal((await ask(`${url}/team/secret/git-upload-pack`, post)).status, 401, 'a POST alone is refused too')
}
