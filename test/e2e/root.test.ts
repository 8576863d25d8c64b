import t from 'tap'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { ask, infoRefs } from '../support/http-client.js'
import { git, gitWith, initBare, makeCommit } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

function makeTree(directory: string, name: string): string {
  const path = initBare(join(directory, name), 'a.git')
  git(path, 'update-ref', `refs/heads/in-${name}`, makeCommit(path, name))
  git(path, 'config', 'http.receivepack', 'true')
  return path
}

t.test('a root that is a link: its current target is served and receives pushes', async (t) => {
  const directory = tempDir(t)
  const trees = ['one', 'two'].map((name) => makeTree(directory, name))
  const current = join(directory, 'current')
  symlinkSync('one', current)
  const { url, adminUrl } = await startSidecar(t, current)
  const refs = (): string => git('/', 'ls-remote', `${url}/a.git`)
  const ready = async (): Promise<string> => {
    const { status, body } = await ask(`${adminUrl}/readyz`)
    return `${status} ${body.toString()}`
  }
  t.match(refs(), /in-one$/)
  // As a deployment does it: a new link takes the old one's name.
  symlinkSync('two', join(directory, 'next'))
  renameSync(join(directory, 'next'), current)
  t.match(refs(), /in-two$/)
  const tree = join(directory, 'tree')
  git(directory, 'clone', '--quiet', '--branch', 'in-two', `${url}/a.git`, tree)
  gitWith({ cwd: tree }, 'push', '--quiet', 'origin', 'HEAD:refs/heads/pushed')
  t.match(git(trees[1]!, 'for-each-ref'), /pushed/)
  t.notMatch(git(trees[0]!, 'for-each-ref'), /pushed/)
  const lease = await ask(`${adminUrl}/v1/leases`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ repository: join(current, 'a.git'), ttlSeconds: 60 }),
  })
  t.equal((JSON.parse(lease.body.toString()) as { repository: string }).repository, 'a.git')

  rmSync(join(directory, 'one'), { recursive: true })
  t.match(refs(), /in-two/, 'the old tree is not used')
  t.match(await ready(), /^200 /)
  rmSync(current)
  t.equal((await ask(infoRefs(url, 'a.git'))).status, 404)
  t.match(await ready(), /^503 .*current/s, 'a missing root is reported')
  symlinkSync('two', current)
  t.match(refs(), /in-two/)
  t.match(await ready(), /^200 /)
})
