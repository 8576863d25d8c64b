import t from 'tap'
import { complaint, gitClient } from '../git-client.js'
import { ask, infoRefs } from '../http-client.js'
import { git, initBare } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { missingForDulwich, startDulwich } from './dulwich.js'
import { skipReason } from './programs.js'
import { pushAndClone } from './smoke.js'

const skip = skipReason('dulwich', missingForDulwich())

t.test('dulwich serves a directory of repositories, in protocol v0 only', { skip }, async (t) => {
  const root = tempDir(t)
  const repository = initBare(root, 'deep/a.git')
  const dulwich = await startDulwich(t, root)
  t.match(dulwich.name, /^dulwich \d+\.\d+/)
  const commit = await pushAndClone(t, `${dulwich.url}/deep/a.git`)
  t.equal(git(repository, 'rev-parse', 'refs/heads/main'), commit)

  const headers = { 'Git-Protocol': 'version=2' }
  const answer = await ask(infoRefs(dulwich.url, 'deep/a.git'), { headers })
  t.match(answer.body.toString(), new RegExp(`^001e# service=git-upload-pack\n0000.{4}${commit} HEAD\0`))
  const failure = await complaint(gitClient(2)(root, 'ls-remote', `${dulwich.url}/nothing.git`))
  t.match(failure, /not found/)
  t.equal(dulwich.requests().at(-1)?.status, 404)
})
