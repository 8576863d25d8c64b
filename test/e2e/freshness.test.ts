import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { flushPacket, pktLine } from '../../src/git/pkt-line.js'
import { ask, infoRefs } from '../support/http-client.js'
import { violations, type Read, type Write } from '../support/history.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import {
  addPackedBranches,
  git,
  gitEnvironment,
  makeCommit,
  makeRepository,
} from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)

/** One writer's way to set a ref to a new commit. */
type Way = (ref: string, commit: string) => Promise<unknown>

t.test('no answer is older than its request, whoever changes refs by whatever way', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  addPackedBranches(repository, 500)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const url = infoRefs(sidecar.url, 'r.git')
  const clone = join(tempDir(t), 'clone')
  git(root, 'clone', '--quiet', '--mirror', repository, clone)

  const options = { env: gitEnvironment }
  const inPlace = (...args: string[]) => run('git', ['-C', repository, ...args], options)
  const ways: Way[] = [
    (ref, commit) => inPlace('update-ref', ref, commit),
    async (ref, commit) => {
      await inPlace('update-ref', ref, commit)
      await inPlace('pack-refs', '--all')
    },
    (ref, commit) => push(`${sidecar.url}/r.git`, ref, commit),
    (ref, commit) => push(repository, ref, commit),
  ]
  const push = async (to: string, ref: string, commit: string) => {
    await run('git', ['-C', clone, 'fetch', '--quiet', repository, `${commit}:refs/tmp/${commit}`], options)
    await run('git', ['-C', clone, 'push', '--quiet', '--force', to, `${commit}:${ref}`], options)
  }
  git(repository, 'config', 'uploadpack.allowAnySHA1InWant', 'true')

  const writes: Write[] = []
  const reads: Read[] = []
  let writing = ways.length
  const rounds = 25

  const writer = async (way: Way, index: number): Promise<void> => {
    const register = `refs/heads/register-${index}`
    let parent = git(repository, 'rev-parse', 'main')
    await inPlace('update-ref', register, parent)
    writes.push({ register, value: parent, start: -Infinity, end: -Infinity })
    begun()
    await allBegun
    for (let round = 0; round < rounds; round++) {
      const value = makeCommit(repository, `${register} ${round}`, parent)
      const start = performance.now()
      await way(register, value)
      writes.push({ register, value, start, end: performance.now() })
      parent = value
    }
    writing--
  }
  let toBegin = ways.length
  let allAreReady!: () => void
  const allBegun = new Promise<void>((resolve) => (allAreReady = resolve))
  const begun = (): void => {
    if (--toBegin === 0) allAreReady()
  }

  const lsRefs = () =>
    ask(`${sidecar.url}/r.git/git-upload-pack`, {
      method: 'POST',
      headers: { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' },
      body: Buffer.concat([
        pktLine('command=ls-refs\n'),
        Buffer.from('0001'),
        pktLine('ref-prefix refs/heads/\n'),
        flushPacket,
      ]),
    })
  const reader = async (version: number): Promise<void> => {
    await allBegun
    while (writing > 0) {
      const start = performance.now()
      const headers = { 'Git-Protocol': `version=${version}` }
      const { status, body } = version === 2 ? await lsRefs() : await ask(url, { headers })
      const end = performance.now()
      t.equal(status, 200)
      const lines = body.toString().matchAll(/([0-9a-f]{40}) (refs\/heads\/register-\d)\n/g)
      reads.push({ start, end, values: new Map([...lines].map(([, id = '', ref = '']) => [ref, id])) })
    }
  }
  await Promise.all([...ways.map(writer), ...[0, 1, 2, 2, 0, 2].map(reader)])

  t.same(violations(writes, reads), [], 'no violation')
  t.ok(reads.length > 50, 'readers kept reading')
  const fills = wrapper.count('upload-pack')
  t.ok(fills < reads.length, 'and shared')
  t.comment(`${writes.length} writes, ${reads.length} reads, ${fills} fills`)
  t.equal(await sidecar.metric('refstream_loser_writes_total'), 0)
})
