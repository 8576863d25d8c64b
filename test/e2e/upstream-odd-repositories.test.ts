import t from 'tap'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { addPackedBranches, git, initBare, makeRepository } from '../support/repositories.js'
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
