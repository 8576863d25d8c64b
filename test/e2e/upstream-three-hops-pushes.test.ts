import t from 'tap'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { complaint, gitClient } from '../support/git-client.js'
import { inventory, makePackRepository } from '../support/pack-repository.js'
import { startPlainServer } from '../support/plain-server.js'
import { git, initBare, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** client → near → far → server: a refstream on each side of a long line. */
const versions = [0, 1, 2] as const
const root = tempDir(t)
const repository = makePackRepository(root, 'project.git')
const server = await startPlainServer(t, root)
const far = await startSidecar(t, undefined, { args: ['--upstream', server] })
const near = await startSidecar(t, undefined, { args: ['--upstream', far.url] })

t.test('what is pushed at the server is there at once', async (t) => {
  const work = tempDir(t)
  for (const version of versions) {
    for (let round = 0; round < 3; round++) {
      const commit = git(repository, 'rev-parse', `main~${round + 1}`)
      git(repository, 'update-ref', 'refs/heads/moving', commit)
      const seen = await gitClient(version)(work, 'ls-remote', `${near.url}/project.git`, 'refs/heads/moving')
      t.equal(seen, `${commit}\trefs/heads/moving`)
    }
  }
  git(repository, 'update-ref', '-d', 'refs/heads/moving')
})

t.test('pushes', async (t) => {
  for (const version of versions) {
    await t.test(`v${version}`, async (t) => {
      const name = `pushed-${version}.git`
      const bare = initBare(root, name)
      git(bare, 'config', 'http.receivepack', 'true')
      const work = tempDir(t)
      const client = gitClient(version)
      const [clone, url] = [join(work, 'clone'), `${near.url}/${name}`]
      const commit = async (content: string | Buffer): Promise<string> => {
        writeFileSync(join(clone, 'file'), content)
        await client(clone, 'add', 'file')
        await client(clone, 'commit', '--quiet', '-m', 'change')
        return client(clone, 'rev-parse', 'HEAD')
      }
      await client(work, 'clone', '--quiet', url, 'clone')
      const first = await commit('one\n')
      await client(clone, 'push', '--quiet', 'origin', 'main')
      t.equal(git(bare, 'rev-parse', 'main'), first, 'to an empty repository')
      t.equal(await client(work, 'ls-remote', url, 'main'), `${first}\trefs/heads/main`, 'and it is seen')

      // More than http.postBuffer: a chunked body.
      const big = await commit(randomBytes(3_000_000))
      await client(clone, 'push', '--quiet', 'origin', 'main', 'main:refs/tags/big')
      t.equal(git(bare, 'rev-parse', 'refs/tags/big'), big, 'a big one')

      await client(clone, 'reset', '--quiet', '--hard', first)
      const other = await commit('other\n')
      t.match(await complaint(client(clone, 'push', 'origin', 'main')), /non-fast-forward/)
      t.equal(git(bare, 'rev-parse', 'main'), big, 'what is refused changes nothing')
      await client(clone, 'push', '--quiet', '--force', 'origin', 'main')
      t.equal(git(bare, 'rev-parse', 'main'), other, 'a forced one')
      await client(clone, 'push', '--quiet', 'origin', ':refs/tags/big')
      t.equal(await client(work, 'ls-remote', url, 'refs/tags/big'), '', 'a deletion, seen at once')

      await client(work, 'clone', '--quiet', '--mirror', url, 'through')
      await client(work, 'clone', '--quiet', '--mirror', `${server}/${name}`, 'direct')
      t.equal(await inventory(join(work, 'through')), await inventory(join(work, 'direct')))
    })
  }
})

t.test('a hook’s refusal reaches the client', async (t) => {
  const bare = initBare(root, 'hooked.git')
  git(bare, 'config', 'http.receivepack', 'true')
  writeFileSync(join(bare, 'hooks/pre-receive'), '#!/bin/sh\necho "not on a Friday" >&2\nexit 1\n', {
    mode: 0o755,
  })
  const clone = makeRepository(tempDir(t), 'clone.git')
  const failure = await complaint(
    gitClient(2)(clone, 'push', `${near.url}/hooked.git`, 'main:refs/heads/main'),
  )
  t.match(failure, /remote: not on a Friday/)
  t.match(failure, /pre-receive hook declined/)
})
