import t, { type Test } from 'tap'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listWithGit, type Listing } from '../../../src/cli/doctor/listing.js'
import { Git } from '../../../src/git/process/git.js'
import { repositoryAt } from '../../support/found-repository.js'
import { gitEnvironment, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

/** Lists a repository with a Git that fails to list refs, and runs this instead of `git config`. */
async function list(t: Test, config: string, withinMs: number): Promise<Listing & { readonly pid: string }> {
  const directory = tempDir(t)
  const path = join(directory, 'git')
  const asked = join(directory, 'pid')
  const script = `#!/bin/sh\ncase "$*" in\n*upload-pack*) echo 'fatal: no' >&2; exit 128;;\nesac\necho $$ > ${asked}\n${config}\n`
  writeFileSync(path, script)
  chmodSync(path, 0o755)
  const git = new Git({ path, environment: gitEnvironment })
  const listing = await listWithGit(git, repositoryAt(makeRepository(directory, 'r.git')), '2.39.5', withinMs)
  const pid = existsSync(asked) ? readFileSync(asked, 'utf8').trim() : ''
  t.teardown(() => git.close())
  return { ...listing, pid }
}

t.test('a Git that is too old for reftable is told apart from other failures', async (t) => {
  t.match(await list(t, 'echo reftable', 60_000), { works: false, complaint: /stored as reftable/ })
  t.match(await list(t, 'echo files', 60_000), { works: false, complaint: /^Git cannot list its refs/ })
  t.match(await list(t, 'exit 1', 60_000), { works: false, complaint: /^Git cannot list its refs/ })
})

t.test('a Git that hangs and cannot be interrupted is not waited for', async (t) => {
  const { works, complaint, pid } = await list(t, "trap '' INT TERM; while :; do sleep 1; done", 2000)
  process.kill(Number(pid), 'SIGKILL')
  t.equal(works, false)
  t.match(complaint, /^Git cannot list its refs/)
})
