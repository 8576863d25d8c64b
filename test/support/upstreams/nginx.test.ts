import t from 'tap'
import { complaint, gitClient } from '../git-client.js'
import { git, initBare, makeRepository } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { missingForNginx, startNginx } from './nginx.js'
import { skipReason } from './programs.js'
import { pushAndClone, urlFor } from './smoke.js'

const skip = skipReason('nginx', missingForNginx())

t.test('without users everything is open to all', { skip }, async (t) => {
  const root = tempDir(t)
  const repository = initBare(root, 'a.git')
  const nginx = await startNginx(t, root)
  t.match(nginx.name, /^nginx\/\d.* with fcgiwrap$/)
  const commit = await pushAndClone(t, `${nginx.url}/a.git`)
  t.equal(git(repository, 'rev-parse', 'refs/heads/main'), commit)
  t.match(
    new Set(nginx.requests().map(({ method, target }) => `${method} ${target}`)),
    new Set([
      'GET /a.git/info/refs?service=git-upload-pack',
      'GET /a.git/info/refs?service=git-receive-pack',
      'POST /a.git/git-receive-pack',
      'POST /a.git/git-upload-pack',
    ]),
  )
  await nginx.stop()
  await t.rejects(gitClient(2)(root, 'ls-remote', `${nginx.url}/a.git`), /Failed to connect|refused/)
})

t.test('users, and a repository that only one of them may read', { skip }, async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'open.git')
  initBare(root, 'secret.git')
  const users = { alice: 'password of alice', bob: 'password of bob' }
  const nginx = await startNginx(t, root, { users, readers: { 'secret.git': ['alice'] } })
  const place = tempDir(t)
  const client = gitClient(2)
  const [open, secret] = [`${nginx.url}/open.git`, `${nginx.url}/secret.git`]

  await client(place, 'ls-remote', open)
  t.match(await complaint(client(place, 'ls-remote', secret)), /could not read Username/)
  t.equal(nginx.requests().at(-1)?.status, 401)
  t.match(await complaint(client(place, 'ls-remote', `${nginx.url}/secret`)), /could not read Username/)
  await pushAndClone(t, urlFor(secret, 'alice', users.alice))
  await complaint(client(place, 'ls-remote', urlFor(secret, 'alice', users.bob)))
  t.equal(nginx.requests().at(-1)?.status, 401, 'a wrong password')
  t.match(await complaint(client(place, 'ls-remote', urlFor(secret, 'bob', users.bob))), /403/)

  await client(place, 'clone', '--quiet', open, 'work')
  const push = (url: string): Promise<string> => client(`${place}/work`, 'push', url, 'HEAD:refs/heads/new')
  t.match(await complaint(push(open)), /could not read Username/, 'a push needs a user')
  await push(urlFor(open, 'bob', users.bob))
  t.match(await complaint(push(urlFor(secret, 'bob', users.bob))), /403/)
})
