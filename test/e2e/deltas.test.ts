// What a refstream above, or any client that knows its deltas, is sent after a push.
import t from 'tap'
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { applied } from '../support/deltas.js'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs, type Answer } from '../support/http-client.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const manipulation = 'refstream-splice'
const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Timestamps are trusted after this many milliseconds. */
const settle = (): Promise<void> => sleep(50)

t.test('a client that names what it has is sent what a push has changed, in protocol v0', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 2500)
  const sidecar = await startSidecar(t, root)
  const url = infoRefs(sidecar.url, 'r.git')
  const deltas = (kind: string): Promise<number> => sidecar.metric('refstream_delta_answers_total', { kind })
  const whole = async (): Promise<Buffer> => (await ask(url)).body
  const delta = (base: Buffer, headers: Record<string, string> = { 'A-IM': manipulation }): Promise<Answer> =>
    ask(url, { headers: { 'If-None-Match': `"${digestOf(base)}"`, ...headers } })
  let pushes = 0
  const push = async (): Promise<void> => {
    git(repository, 'update-ref', `refs/heads/new-${++pushes}`, 'main')
    await settle()
  }

  await settle()
  let base = await whole()
  // The first answer after the start is Git's own; those that are made of it have deltas.
  await eventually('an answer is a delta', async () => {
    const before = base
    await push()
    const { status, body } = await delta(before)
    base = await whole()
    return status === 226 && (await applied(before, body, digestOf(base))).equals(base)
  })

  const sent = await deltas('advertisement')
  t.ok(sent > 0)
  await push()
  const answer = await delta(base)
  const now = await whole()
  t.equal(answer.status, 226)
  t.match(answer.headers, {
    ...{ im: manipulation, 'delta-base': `"${digestOf(base)}"`, etag: `"${digestOf(now)}"` },
    ...{ 'cache-control': 'no-store', 'content-length': String(answer.body.length) },
  })
  t.ok(answer.body.length < 300, `${answer.body.length} of ${now.length} bytes`)
  t.ok((await applied(base, answer.body, digestOf(now))).equals(now))
  t.match(now.toString(), ` refs/heads/new-${pushes}\n`)
  t.equal(await deltas('advertisement'), sent + 1)
  t.equal(await deltas('listing'), 0)

  t.equal((await delta(now)).status, 304, 'nothing has changed since')
  t.equal((await delta(base, {})).status, 200, 'without A-IM')
  t.equal((await delta(base, { 'A-IM': 'vcdiff' })).status, 200, 'another manipulation')
  t.equal((await delta(base, { 'A-IM': `${manipulation};q=0` })).status, 200, 'a refused manipulation')
  t.equal((await delta(Buffer.from('else'))).status, 200, 'a version that it never had')
  t.equal(await deltas('advertisement'), sent + 1)
  await sidecar.stop()
})
