import t from 'tap'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, makeCommit } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Reftable came with Git 2.45. */
function hasReftable(): boolean {
  try {
    execFileSync('git', ['init', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}

const skip = hasReftable() ? false : 'this Git has no reftable backend'
t.test(
  'with the reftable backend every change is visible at once, and only changes start a process',
  { skip },
  async (t) => {
    const root = tempDir(t)
    const repository = join(root, 'r.git')
    git(root, 'init', '--quiet', '--bare', '-b', 'main', '--ref-format=reftable', repository)
    writeFileSync(join(repository, 'git-daemon-export-ok'), '')
    const commit = makeCommit(repository, 'one')
    const wrapper = makeGitWrapper(t)
    const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
    const refs = async (): Promise<string[]> => {
      const { body } = await ask(infoRefs(sidecar.url, 'r.git'))
      return [...body.toString().matchAll(/ (refs\/[^\0\n]+)[\0\n]/g)].map(([, name = '']) => name)
    }
    const expected = (): string[] =>
      git(repository, 'for-each-ref', '--format=%(refname)')
        .split('\n')
        .filter((name) => name)

    const changes: string[][] = [
      ['update-ref', 'refs/heads/main', commit],
      ['update-ref', 'refs/heads/a', commit],
      ['branch', '-m', 'a', 'b'],
      ['branch', '-c', 'b', 'c'],
      ['tag', 'v1', commit],
      ['update-ref', '-d', 'refs/heads/b'],
      ['symbolic-ref', 'HEAD', 'refs/heads/c'],
      ['pack-refs', '--all'],
      ['config', 'transfer.hideRefs', 'refs/tags'],
    ]
    for (const change of changes) {
      git(repository, ...change)
      const hidden = change.includes('transfer.hideRefs')
      t.same(
        await refs(),
        expected().filter((name) => !hidden || !name.startsWith('refs/tags')),
        change.join(' '),
      )
    }
    const fills = wrapper.count('upload-pack')
    await refs()
    t.equal(wrapper.count('upload-pack'), fills, 'without a change, no process')
  },
)
