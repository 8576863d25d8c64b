import t from 'tap'
import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { git, gitWith, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a repository whose name is not UTF-8 is listed, cloned, pushed to and cached', async (t) => {
  const root = tempDir(t)
  // Latin-1 and Shift_JIS, and names that decode to something similar.
  const names = { '/caf%E9.git': 'caf\xe9.git', '/%93%FA%96%7B/%8C%EA.git': '\x93\xfa\x96\x7b/\x8c\xea.git' }
  for (const bytes of Object.values(names)) {
    const path = makeRepository(root, 'made.git')
    git(path, 'config', 'http.receivepack', 'true')
    const target = Buffer.from(`${root}/${bytes}`, 'latin1')
    if (bytes.includes('/')) makeRepository(root, 'other/x.git')
    const parent = target.subarray(0, target.lastIndexOf('/'))
    if (bytes.includes('/')) renameSync(join(root, 'other'), parent)
    renameSync(path, target)
  }
  makeRepository(root, 'café.git')
  const sidecar = await startSidecar(t, root)
  const { url } = sidecar
  for (const [index, name] of Object.keys(names).entries()) {
    t.match(git('/', 'ls-remote', url + name), /refs\/heads\/main/, name)
    t.match(git('/', '-c', 'protocol.version=0', 'ls-remote', url + name), /refs\/heads\/main/, `${name}, v0`)
    const tree = join(tempDir(t), 'tree')
    git('/', 'clone', '--quiet', url + name, tree)
    gitWith({ cwd: tree }, 'push', '--quiet', 'origin', `HEAD:refs/heads/pushed-${index}`)
    t.match(git('/', 'ls-remote', url + name), new RegExp(`pushed-${index}`))
  }
  t.notMatch(git('/', 'ls-remote', `${url}/caf%C3%A9.git`), /pushed/, 'each name is one of its own')
  const hits = (): Promise<number> => sidecar.metric('refstream_requests_total', { outcome: 'hit' })
  const before = await hits()
  git('/', 'ls-remote', `${url}/caf%E9.git`)
  t.ok((await hits()) > before)
})

t.test('links below a name that is not UTF-8 are followed, also below such a root', async (t) => {
  const directory = tempDir(t)
  const bytes = (name: string): Buffer => Buffer.from(`${directory}/${name}`, 'latin1')
  const path = makeRepository(join(directory, 'made'), 'r.git')
  mkdirSync(join(path, 'own'))
  symlinkSync('../../own', join(path, 'refs/heads/own'))
  renameSync(path, Buffer.from(`${directory}/made/\xe9.git`, 'latin1'))
  renameSync(join(directory, 'made'), bytes('wur\xe7el'))
  symlinkSync(bytes('wur\xe7el'), join(directory, 'root'))
  const { url } = await startSidecar(t, join(directory, 'root'), { args: ['--access', '**=read:anyone'] })
  t.match(git('/', 'ls-remote', `${url}/%E9.git`), /refs\/heads\/main/)
})
