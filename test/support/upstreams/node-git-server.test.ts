import t from 'tap'
import { complaint, gitClient } from '../git-client.js'
import { git, initBare, makeRepository } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { missingForNodeGitServer, startNodeGitServer } from './node-git-server.js'
import { skipReason } from './programs.js'
import { pushAndClone, urlFor } from './smoke.js'

const skip = skipReason('node-git-server', missingForNodeGitServer())

t.test('node-git-server, without users', { skip }, async (t) => {
  const root = tempDir(t)
  const repository = initBare(root, 'a.git')
  const server = await startNodeGitServer(t, root)
  t.match(server.name, /^node-git-server \d/)
  const commit = await pushAndClone(t, `${server.url}/a.git`)
  t.equal(git(repository, 'rev-parse', 'refs/heads/main'), commit)
  t.match(await complaint(gitClient(2)(root, 'ls-remote', `${server.url}/nothing.git`)), /not found/)
})

t.test('node-git-server, with users', { skip }, async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'open.git')
  initBare(root, 'secret.git')
  const users = { alice: 'password of alice', bob: 'password of bob' }
  const server = await startNodeGitServer(t, root, { users, readers: { 'secret.git': ['alice'] } })
  const client = gitClient(2)
  await client(root, 'ls-remote', `${server.url}/open.git`)
  const secret = `${server.url}/secret.git`
  for (const url of [secret, urlFor(secret, 'alice', 'wrong'), urlFor(secret, 'bob', users.bob)]) {
    await complaint(client(root, 'ls-remote', url))
    t.equal(server.requests().at(-1)?.status, 401)
  }
  await pushAndClone(t, urlFor(secret, 'alice', users.alice))
})
