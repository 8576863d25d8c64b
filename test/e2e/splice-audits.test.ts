// A rule that loses a candidate, and what the audit of splices does about the answers that are wrong then.
import t from 'tap'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KnownRefs } from '../../src/git/state/ref-changes/known-refs.js'
import { startServer } from '../../src/index.js'
import { createLog } from '../../src/telemetry/log.js'
import { eventually } from '../support/eventually.js'
import { ask } from '../support/http-client.js'
import { completeQuery, refsIn } from '../support/ref-answers.js'
import { git, initBare, makeCommit } from '../support/repositories.js'
import { loseCandidates } from '../support/splices/broken-candidates.js'
import { tempDir } from '../support/temp-dir.js'

/** Milliseconds after which a state is settled, so that what is listed is kept. */
const settlingMs = 50

t.test('an audit finds a wrong splice, drops it, and ends splicing for that repository', async (t) => {
  const root = realpathSync(tempDir(t))
  const lines: Record<string, unknown>[] = []
  const log = createLog('error', { write: (line) => lines.push(JSON.parse(line) as (typeof lines)[0]) })
  const cacheDir = join(tempDir(t), 'cache')
  const options = { root, listen: '127.0.0.1:0', admin: '127.0.0.1:0', cacheDir }
  const sidecar = await startServer({ ...options, freshness: 'observe' }, log)
  t.teardown(() => sidecar.close())

  const repositories = ['wrong.git', 'right.git'].map((name) => {
    const directory = initBare(root, name)
    const commits = [makeCommit(directory, 'one'), makeCommit(directory, 'two')]
    for (const ref of ['lost', 'main']) git(directory, 'update-ref', `refs/heads/${ref}`, commits[0]!)
    return { name, directory, commits }
  })
  const [wrong, right] = repositories as [(typeof repositories)[0], (typeof repositories)[0]]
  /** Asks for all refs: what the sidecar says of one. */
  const listed = async ({ name }: typeof wrong, ref: string): Promise<string | undefined> => {
    const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
    const body = completeQuery({})
    const url = `${sidecar.url}/${name}/git-upload-pack`
    const answer = await ask(url, { method: 'POST', headers, body })
    return refsIn(answer.body.toString('latin1')).get(`refs/heads/${ref}`)?.split(' ')[0]
  }
  const metric = async (beginning: string): Promise<number> => {
    const { body } = await ask(`${sidecar.adminUrl}/metrics`)
    const line = body
      .toString()
      .split('\n')
      .find((each) => each.startsWith(beginning))
    return Number(line?.slice(line.lastIndexOf(' ') + 1) ?? 0)
  }
  const spliced = (): Promise<number> => metric('refstream_splices_total{kind="listing",result="spliced"}')

  const lost = loseCandidates(t, KnownRefs.prototype, (name) => name === 'refs/heads/lost')
  await sleep(settlingMs)
  for (const repository of repositories)
    t.equal(await listed(repository, 'lost'), repository.commits[0], 'the first answer is right')

  git(wrong.directory, 'update-ref', 'refs/heads/lost', wrong.commits[1]!)
  await sleep(settlingMs)
  t.equal(await listed(wrong, 'lost'), wrong.commits[0], 'the broken rule makes a stale answer')
  t.ok(lost() > 0)
  await eventually('an audit finds it', () => lines.length > 0)
  const [line] = lines
  t.equal(line?.['repository'], wrong.directory)
  t.match(line?.['spliced'], wrong.commits[0])
  t.match(line?.['listed'], wrong.commits[1])
  t.match(line?.['msg'], /a spliced answer differed from what Git lists: it was dropped/)
  t.equal(await metric('refstream_splice_audits_total{kind="listing",verdict="different"}'), 1)
  t.equal(await metric('refstream_splice_off_repositories'), 1)

  t.equal(await listed(wrong, 'lost'), wrong.commits[1], 'the next answer is right')
  const before = await spliced()
  git(wrong.directory, 'update-ref', 'refs/heads/lost', wrong.commits[0]!)
  await sleep(settlingMs)
  t.equal(await listed(wrong, 'lost'), wrong.commits[0], 'and so are those after it')
  t.equal(await spliced(), before, 'which are not spliced')
  t.ok((await metric('refstream_splices_total{kind="listing",result="off"}')) > 0)

  git(right.directory, 'update-ref', 'refs/heads/main', right.commits[1]!)
  await sleep(settlingMs)
  t.equal(await listed(right, 'main'), right.commits[1])
  t.equal(await spliced(), before + 1, 'another repository is spliced')
  t.equal(lines.length, 1, 'nothing else is logged')
})
