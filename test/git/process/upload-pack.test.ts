import t from 'tap'
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../../src/git/process/git.js'
import { GitError } from '../../../src/git/process/git-error.js'
import type { ProtocolVersion } from '../../../src/git/protocol/version.js'
import type { Repository } from '../../../src/git/state/repository.js'
import { advertisement } from '../../../src/git/process/upload-pack.js'
import { eventually } from '../../support/eventually.js'
import { makeGitWrapper, plans } from '../../support/git-wrapper.js'
import { repositoryAt } from '../../support/found-repository.js'
import { gitEnvironment, initBare, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const path = makeRepository(tempDir(t), 'x.git')
const repository: Repository = repositoryAt(path)

async function read(git: Git, version: ProtocolVersion = 0, from = repository): Promise<Buffer> {
  const chunks: Buffer[] = []
  const signal = new AbortController().signal
  for await (const chunk of advertisement(git, from, version, signal)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The body of http-backend's response. */
function backendBody(gitDir: string, version: ProtocolVersion): Buffer {
  const output = execFileSync('git', ['http-backend'], {
    env: {
      ...gitEnvironment,
      REQUEST_METHOD: 'GET',
      GIT_PROJECT_ROOT: gitDir,
      PATH_INFO: '/info/refs',
      QUERY_STRING: 'service=git-upload-pack',
      GIT_HTTP_EXPORT_ALL: '1',
      HTTP_GIT_PROTOCOL: `version=${version}`,
    },
  })
  return output.subarray(output.indexOf('\r\n\r\n') + 4)
}

t.test('the bytes are those of http-backend', async (t) => {
  const git = new Git({ path: 'git', environment: gitEnvironment })
  const empty = initBare(tempDir(t), 'empty.git')
  for (const version of [0, 1, 2] as const) {
    for (const gitDir of [path, empty]) {
      const body = await read(git, version, repositoryAt(gitDir))
      t.equal(body.toString(), backendBody(gitDir, version).toString(), `v${version} of ${gitDir}`)
    }
  }
  t.equal(git.running, 0)
})

t.test('a stream ends without an error only if Git exited with 0 after a flush packet', async (t) => {
  const wrapper = makeGitWrapper(t)
  const git = new Git({ path: wrapper.path, environment: gitEnvironment })
  const service = Buffer.byteLength('001e# service=git-upload-pack\n0000')
  for (const version of [0, 2] as const) {
    wrapper.plan('')
    const whole = (await read(git, version)).length - (version === 2 ? 0 : service)
    const faults: [what: string, plan: string, error: RegExp][] = [
      ['fails after some bytes', plans.dieAfter(100), /exit code 128/],
      ['fails after all bytes', 'git "$@"; exit 1\n', /exit code 1$/],
      ['fails without bytes', 'exit 1\n', /exit code 1$/],
      ['is killed half-way', plans.killSelfAfter(100), /killed by SIGKILL/],
      ['ends in the middle of a line', plans.cutAfter(100), /cut short/],
      ['leaves out the flush packet', plans.cutAfter(whole - 4), /cut short/],
      ['leaves out a byte of it', plans.cutAfter(whole - 1), /cut short/],
      ['says nothing and exits 0', 'exit 0\n', /cut short/],
      ['says something else', 'echo Hello, world; exit 0\n', /not a pkt-line length/],
      ['says something else afterwards', 'git "$@"; echo goodbye; exit 0\n', /not a pkt-line length/],
    ]
    for (const [what, plan, error] of faults) {
      wrapper.plan(plan)
      await t.rejects(read(git, version), error, `v${version}: ${what}`)
    }
  }
  await eventually('no process is left', () => git.running === 0)
})

t.test('nothing is sent before Git’s first byte, so that an error can still be answered', async (t) => {
  const wrapper = makeGitWrapper(t)
  wrapper.plan('exit 1\n')
  const git = new Git({ path: wrapper.path, environment: gitEnvironment })
  const chunks = advertisement(git, repository, 0, new AbortController().signal)
  t.same((await chunks.next()).value, Buffer.alloc(0), 'but that Git runs')
  await t.rejects(chunks.next(), GitError)
})

t.test('an abort ends the process; so does a reader that stops', async (t) => {
  const wrapper = makeGitWrapper(t)
  wrapper.plan(plans.hangAfter(100))
  const git = new Git({ path: wrapper.path, environment: gitEnvironment })
  const aborter = new AbortController()
  const aborted = advertisement(git, repository, 0, aborter.signal)
  await aborted.next()
  t.notOk((await aborted.next()).done)
  const rest = aborted.next()
  aborter.abort()
  await t.rejects(rest, /killed by SIGTERM/)

  const left = advertisement(git, repository, 0, new AbortController().signal)
  await left.next()
  t.notOk((await left.next()).done)
  await left.return(undefined)
  await eventually('no process is left', () => git.running === 0)
  t.equal(wrapper.count('upload-pack'), 2)
})

t.test('a repository or a Git program that is missing is an error', async (t) => {
  const git = new Git({ path: 'git', environment: gitEnvironment })
  const gone = initBare(tempDir(t), 'gone.git')
  const was = repositoryAt(gone)
  rmSync(join(gone, 'HEAD'))
  await t.rejects(read(git, 0, was), /exit code 128/)
  rmSync(gone, { recursive: true })
  await t.rejects(read(git, 0, was), { name: 'RepositoryExchanged' })
  initBare(join(gone, '..'), 'gone.git')
  await t.rejects(read(git, 0, was), { name: 'RepositoryExchanged' }, 'another one at its path')
  await t.rejects(read(new Git({ path: '/nonexistent/git', environment: {} })), /ENOENT/)
})
