import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { eventually } from '../support/eventually.js'
import { gitClient } from '../support/git-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import {
  addPackedBranches,
  git,
  gitEnvironment,
  initBare,
  makeCommit,
  makeRepository,
} from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { comparing, outcome } from '../support/upstreams/claims.js'
import { missingForNginx, startNginx } from '../support/upstreams/nginx.js'
import { skipReason } from '../support/upstreams/programs.js'

/** Repositories that differ from others in one thing. */
const repositories: Record<string, (root: string, name: string) => void> = {
  'empty.git': (root, name) => initBare(root, name),
  'sha256.git': (root, name) => makeRepository(root, name, { objectFormat: 'sha256' }),
  'detached.git': (root, name) => {
    const path = makeRepository(root, name)
    git(path, 'update-ref', '--no-deref', 'HEAD', 'refs/heads/main')
  },
  'dangling.git': (root, name) => {
    git(makeRepository(root, name), 'symbolic-ref', 'HEAD', 'refs/heads/gone')
  },
  'symrefs.git': (root, name) => {
    const path = makeRepository(root, name)
    git(path, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
    git(path, 'symbolic-ref', 'refs/heads/nowhere', 'refs/heads/gone')
  },
  'hidden.git': (root, name) => {
    const path = makeRepository(root, name)
    git(path, 'update-ref', 'refs/hidden/one', 'refs/heads/main')
    git(path, 'config', 'transfer.hideRefs', 'refs/hidden')
  },
  // Less than 1 MiB, up to which an answer is compared with what is kept.
  'many.git': (root, name) => addPackedBranches(makeRepository(root, name), 10_000),
  'with space, ü+%.git': (root, name) => makeRepository(root, name),
  'a/b/c/without-suffix': (root, name) => makeRepository(root, name),
}
const encoded = (name: string): string => name.split('/').map(encodeURIComponent).join('/')

t.test('odd repositories', { skip: skipReason('nginx', missingForNginx()) }, async (t) => {
  const root = tempDir(t)
  for (const [name, make] of Object.entries(repositories)) make(root, name)
  const nginx = await startNginx(t, root)
  const { url } = await startSidecar(t, undefined, { args: ['--upstream', nginx.url] })
  const compare = comparing(nginx.url, url)
  const place = tempDir(t)

  for (const name of Object.keys(repositories)) {
    await t.test(name, async (t) => {
      for (const version of [0, 1, 2] as const) {
        for (const args of [['--symref'], ['--heads', '--symref']]) {
          const message = `v${version}: ls-remote ${args.join(' ')}`
          await compare(t, message, (base) =>
            outcome(version, place, 'ls-remote', ...args, `${base}/${encoded(name)}`),
          )
        }
        if (name === 'many.git') continue
        await compare(t, `v${version}: clone`, async (base, side) => {
          const copy = join(place, side, `${version}`, name)
          const said = await outcome(version, place, 'clone', '--quiet', `${base}/${encoded(name)}`, copy)
          return `${said}\n${git(copy, 'for-each-ref')}\n${git(copy, 'symbolic-ref', '-q', 'HEAD')}`
        })
      }
    })
  }

  await t.test('a long listing is compressed, once, and is the same', async (t) => {
    const plain = await ask(infoRefs(nginx.url, 'many.git'))
    const asked = { headers: { 'Accept-Encoding': 'gzip' } }
    let answer = await ask(infoRefs(url, 'many.git'), asked)
    // Made for the next requests while the first ones get the plain bytes.
    await eventually('it is compressed', async () => {
      answer = await ask(infoRefs(url, 'many.git'), asked)
      return answer.headers['content-encoding'] === 'gzip'
    })
    t.ok(gunzipSync(answer.body).equals(plain.body))
  })
})

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
        return `${status} ${headers['content-type']}\n${body.toString('latin1').slice(0, 300)}`
      }
      await compare(t, `${request?.method ?? 'GET'} ${target} ${String(request?.body)}`, answer)
    }
  })
})
