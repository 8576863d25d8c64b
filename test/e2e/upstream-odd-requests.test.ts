import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gitClient } from '../support/git-client.js'
import { ask } from '../support/http-client.js'
import { git, gitEnvironment, makeCommit, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { comparing, outcome } from '../support/upstreams/claims.js'
import { missingForNginx, startNginx } from '../support/upstreams/nginx.js'
import { skipReason } from '../support/upstreams/programs.js'

t.test('odd requests', { skip: skipReason('nginx', missingForNginx()) }, async (t) => {
  const root = tempDir(t)
  const path = makeRepository(root, 'r.git')
  let commit = git(path, 'rev-parse', 'main')
  for (const number of [2, 3, 4, 5]) {
    commit = makeCommit(path, `commit ${number}`, commit)
    git(path, 'update-ref', 'refs/heads/main', commit)
  }
  git(path, 'tag', 'middle', 'main~2')
  git(path, 'update-ref', 'refs/other/one', 'main~1')
  for (const key of ['allowFilter', 'allowAnySHA1InWant']) git(path, 'config', `uploadpack.${key}`, 'true')
  git(path, 'config', 'uploadpack.advertiseObjectInfo', 'true')
  git(path, 'update-server-info')
  const nginx = await startNginx(t, root)
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', nginx.url] })
  const compare = comparing(nginx.url, url)
  const place = tempDir(t)

  const fetches = [
    ['--no-tags', 'main'],
    ['--tags'],
    ['refs/other/*:refs/remotes/other/*'],
    [git(path, 'rev-parse', 'main~3')],
    ['--depth=2', 'main'],
    ['--shallow-exclude=middle', 'main'],
    ['--shallow-since=2019-01-01', 'main'],
    ['--filter=tree:0', 'main'],
    ['--server-option=x', 'main'],
    ['nothing'],
    ['1111111111111111111111111111111111111111'],
  ]
  for (const version of [0, 2] as const) {
    for (const args of fetches) {
      await compare(t, `v${version}: fetch ${args.join(' ')}`, async (base, side) => {
        const copy = join(place, `${side}-${version}-${fetches.indexOf(args)}`)
        git(place, 'init', '--quiet', '-b', 'main', copy)
        git(copy, 'remote', 'add', 'origin', `${base}/r.git`)
        const options = args.filter((word) => word.startsWith('-'))
        const rest = args.filter((word) => !word.startsWith('-'))
        const said = await outcome(version, copy, 'fetch', '--quiet', ...options, 'origin', ...rest)
        const objects = git(copy, 'cat-file', '--batch-all-objects', '--batch-check')
        return `${said}\n${git(copy, 'for-each-ref')}\n${objects}`
      })
    }
  }

  await t.test('a shallow clone is deepened, and completed', async (t) => {
    for (const version of [0, 2] as const) {
      await compare(t, `v${version}`, async (base, side) => {
        const copy = join(place, `${side}-shallow-${version}`)
        const client = gitClient(version)
        await client(place, 'clone', '--quiet', '--depth=1', `${base}/r.git`, copy)
        const counts = [git(copy, 'rev-list', '--count', 'HEAD')]
        for (const args of [['--deepen=2'], ['--unshallow']]) {
          await client(copy, 'fetch', '--quiet', ...args)
          counts.push(git(copy, 'rev-list', '--count', 'HEAD'))
        }
        return counts.join()
      })
    }
  })

  await t.test('the dumb protocol', async (t) => {
    await compare(t, 'clone', async (base, side) => {
      const copy = join(place, `${side}-dumb`)
      const env = { ...gitEnvironment, GIT_SMART_HTTP: '0' }
      await promisify(execFile)('git', ['clone', '--quiet', `${base}/r.git`, copy], { env })
      return git(copy, 'for-each-ref')
    })
  })

  await t.test('raw requests', async (t) => {
    const post = (body: string, headers: Record<string, string> = {}): Parameters<typeof ask>[1] => ({
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-git-upload-pack-request',
        'Git-Protocol': 'version=2',
        ...headers,
      },
      body,
    })
    const requests: [string, Parameters<typeof ask>[1]][] = [
      ['r.git/HEAD', {}],
      ['r.git/info/refs', {}],
      ['r.git/objects/info/packs', {}],
      ['r.git/info/refs?service=git-nothing', {}],
      ['r.git/config', {}],
      ['r.git/git-upload-pack', {}],
      ['r.git/git-upload-pack', post('0014command=nothing\n0000')],
      ['r.git/git-upload-pack', post('garbage')],
      ['r.git/git-upload-pack', post('')],
      ['r.git/git-upload-pack', post('0000', { 'Content-Type': 'text/plain' })],
      ['r.git/git-upload-pack', post(`0018command=object-info\n00010008size0031oid ${commit}0000`)],
      [
        'r.git/git-upload-pack',
        post(`0011command=fetch0001000fno-progress0032want ${commit}\n0015deepen-not middle0009done\n0000`),
      ],
    ]
    for (const [target, request] of requests) {
      const answer = async (base: string): Promise<string> => {
        const { status, headers, body } = await ask(`${base}/${target}`, request)
        // How Git cuts a pack into packets depends on the moment.
        const said = body.toString('latin1').replace(/(?<=packfile\n)[^]*/, '')
        return `${status} ${headers['content-type']}\n${said}`
      }
      await compare(t, `${request?.method ?? 'GET'} ${target} ${String(request?.body)}`, answer)
    }
  })
})
