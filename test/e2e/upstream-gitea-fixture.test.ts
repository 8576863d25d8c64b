import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePorts } from '../support/free-ports.js'
import { complaint, gitClient } from '../support/git-client.js'
import { ask } from '../support/http-client.js'
import { git } from '../support/repositories.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import type { GiteaServer } from '../support/upstreams/gitea.js'
import { missingForNginx } from '../support/upstreams/nginx.js'
import { serverPath, skipReason } from '../support/upstreams/programs.js'
import { startProcess } from '../support/upstreams/server-process.js'
import { stageKinds, startGiteaStage, urlOf } from '../support/upstreams/stages.js'

const missing = stageKinds.Gitea.missing() ?? missingForNginx()
const client = gitClient(2)

/** Runs what fixtures/gitea/ has, with other addresses and paths. @returns the URL of the site */
async function startFixture(
  t: Test,
  gitea: GiteaServer,
): Promise<{ url: string; stopRefstream: () => Promise<void> }> {
  const place = tempDir(t)
  const [site, refstream, admin] = await freePorts(3)
  const replaced: [string, string][] = [
    ['127.0.0.1:8080', `127.0.0.1:${refstream}`],
    ['127.0.0.1:8081', `127.0.0.1:${admin}`],
    ['127.0.0.1:3000', new URL(gitea.url).host],
    ['listen 80;', `listen 127.0.0.1:${site};`],
    ['/var/lib/gitea/data/gitea-repositories', gitea.repositoriesRoot],
    ['/var/cache/refstream', join(place, 'cache')],
  ]
  const copy = (name: string, around: (text: string) => string = (text) => text): string => {
    const text = readFileSync(join('fixtures/gitea', name), 'utf8')
    const own = replaced.reduce((before, [from, to]) => before.replaceAll(from, to), text)
    writeFileSync(join(place, name), around(own))
    return join(place, name)
  }
  const server = spawn(process.execPath, [program, 'serve', '--config', copy('refstream.toml')], {
    env: { ...cleanEnvironment, HOME: gitea.gitHome },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const stopRefstream = async (): Promise<void> => {
    if (server.exitCode !== null) return
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  t.teardown(stopRefstream)

  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${place};`,
  )
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const main = `daemon off; ${user} pid ${place}/pid; events {}\nhttp { access_log off; ${paths.join(' ')}`
  const file = copy('nginx.conf', (text) => `${main}\n${text}}\n`)
  const nginx = startProcess(t, 'nginx', ['-e', 'stderr', '-c', file], { environment: { PATH: serverPath } })
  await Promise.all([refstream, site].map((port) => nginx.listensOn({ port: port! })))
  return { url: `http://127.0.0.1:${site}`, stopRefstream }
}

t.test(
  'what fixtures/gitea/ has, with nginx and Gitea',
  { skip: skipReason('Gitea', missing) },
  async (t) => {
    const { server } = await startGiteaStage(t)
    const { url, stopRefstream } = await startFixture(t, server)
    const place = tempDir(t)
    const since = (start: number): string[] =>
      server
        .requests()
        .slice(start)
        .map(({ method, target }) => `${method} ${target}`)

    await t.test('a clone is made from the disk', async (t) => {
      const start = server.requests().length
      await client(place, 'clone', '--quiet', urlOf(url, 'Team/Secret.git', 'alice'), 'work')
      t.notOk(
        since(start).some((request) => request.startsWith('POST')),
        'not by Gitea',
      )
      t.ok(server.requests().length > start, 'which has given its verdict')
      t.match(
        await complaint(client(place, 'ls-remote', urlOf(url, 'Team/Secret'))),
        /could not read Username/,
      )
      t.match(await complaint(client(place, 'ls-remote', urlOf(url, 'Team/Secret', 'bob'))), /not found/)
    })

    await t.test('a push is made by Gitea, which is told the client’s address', async (t) => {
      const work = join(place, 'work')
      await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'pushed')
      await client(
        work,
        '-c',
        'http.extraHeader=X-Real-IP: 203.0.113.9',
        'push',
        '--quiet',
        'origin',
        'HEAD:main',
      )
      const push = server
        .requests()
        .findLast(({ method, target }) => method === 'POST' && target.endsWith('/git-receive-pack'))
      t.match(push?.headers, { 'x-forwarded-for': '127.0.0.1' })
      t.equal(push?.headers['x-real-ip'], undefined, 'and not what the client says of it')
      const listed = await client(place, 'ls-remote', urlOf(url, 'team/secret.git', 'alice'), 'main')
      t.match(listed, git(work, 'rev-parse', 'HEAD'), 'the next listing shows it')
    })

    await t.test('the API, pages and LFS are Gitea’s', async (t) => {
      t.match((await ask(`${url}/api/v1/version`)).body.toString(), /"version"/)
      const start = server.requests().length
      const headers = {
        Accept: 'application/vnd.git-lfs+json',
        'Content-Type': 'application/vnd.git-lfs+json',
      }
      const objects = [{ oid: 'a'.repeat(64), size: 1 }]
      const body = JSON.stringify({ operation: 'download', transfers: ['basic'], objects })
      const batch = await ask(`${url}/Team/Open.git/info/lfs/objects/batch`, {
        method: 'POST',
        headers,
        body,
      })
      t.match(batch.body.toString(), /"oid"/)
      t.equal(server.requests().length, start + 1)
    })

    await t.test('while refstream is stopped, Gitea answers', async (t) => {
      await stopRefstream()
      const listed = await client(place, 'ls-remote', urlOf(url, 'Team/Secret', 'alice'), 'main')
      t.match(listed, git(join(place, 'work'), 'rev-parse', 'HEAD'))
      await client(place, 'clone', '--quiet', urlOf(url, 'Team/Open'), 'without')
    })
  },
)
