import t from 'tap'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeMetadata, metadataPath } from '../../src/streamcache/disk/metadata.js'
import { addPackedBranches, git, gitWith, makeRepository } from '../support/repositories.js'
import { ask, infoRefs } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { startSidecar } from '../support/sidecar.js'
import { bodiesIn, filesIn } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

/** How often the sidecar is killed, unless REFSTREAM_CHAOS_MINUTES sets a time. */
const kills = 10
const minutes = Number(process.env['REFSTREAM_CHAOS_MINUTES'] ?? 0)

/** What is wrong with a committed body; undefined: nothing. */
function fault(path: string): string | undefined {
  if (!existsSync(metadataPath(path))) return 'no metadata'
  const metadata = decodeMetadata(readFileSync(metadataPath(path)))
  if (!metadata) return 'its metadata'
  const body = readFileSync(path)
  if (body.length !== metadata.length) return 'its length'
  return createHash('sha256').update(body).digest('hex') === metadata.sha256 ? undefined : 'its checksum'
}

/** Git's own answer, after the two packets that only HTTP has (gitprotocol-http(5), "Smart Server Response"). */
const truth = (repository: string): string =>
  gitWith(
    { cwd: repository, encoding: 'latin1' },
    ...['upload-pack', '--stateless-rpc', '--advertise-refs', repository],
  )
const announcement = '001e# service=git-upload-pack\n0000'

t.test('killed again and again during fills: only intact entries stay, and answers are Git’s', async (t) => {
  t.setTimeout((minutes * 60 + 120) * 1000)
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  const names = ['a.git', 'b.git', 'c.git']
  const repositories = names.map((name) => makeRepository(root, name))
  for (const repository of repositories) addPackedBranches(repository, 20_000)
  const pathOf = (folder: string): string => join(cacheDir, 'instance-0', folder)
  const deadline = Date.now() + minutes * 60_000
  const wrapper = makeGitWrapper(t)
  let interrupted = 0
  for (let round = 0; round < kills || Date.now() < deadline; round++) {
    const sidecar = await startSidecar(t, root, { cacheDir, args: ['--git', wrapper.path] })
    await eventually(`round ${round}: temp/ is empty`, () => readdirSync(pathOf('temp')).length === 0)
    const bodies = bodiesIn(cacheDir)
    for (const path of bodies) {
      const wrong = fault(path)
      if (wrong) t.fail(`round ${round}: ${path}: ${wrong}`)
    }
    await eventually(
      'no metadata is left without its body',
      () => filesIn(cacheDir, 'metadata').length === bodies.length,
    )
    t.equal(await sidecar.metric('refstream_store_discarded_total', { reason: 'corrupt' }), 0)
    t.notOk(existsSync(join(cacheDir, 'instance-1')), 'killed processes hold no instance directory')

    // One repository has the state of the round before, the others have new ones.
    for (const [index, repository] of repositories.entries()) {
      if (index !== round % 3) git(repository, 'update-ref', `refs/heads/round-${round}`, 'refs/heads/main')
    }
    // At any speed of the machine, some kill falls into a fill.
    if (round === 1) wrapper.plan(plans.pause(500_000))
    const answers = names.map((name) => ask(infoRefs(sidecar.url, name)))
    if (round % 2 === 0) {
      for (const [index, answer] of (await Promise.all(answers)).entries()) {
        const expected = announcement + truth(repositories[index]!)
        t.ok(answer.body.toString('latin1') === expected, `round ${round}: ${names[index]} is Git’s answer`)
      }
      // There is also a moment between an answer and its commit.
      await sleep((round * 7) % 20)
    } else {
      await eventually(
        'a fill is running',
        async () => readdirSync(pathOf('temp')).length > 0 || settled(answers),
      )
      await sleep((round * 7) % 40)
    }
    if (readdirSync(pathOf('temp')).length > 0) interrupted++
    t.equal(await sidecar.stop('SIGKILL'), 'SIGKILL')
    wrapper.signal('go')
    wrapper.plan(undefined)
    for (const end of await Promise.allSettled(answers)) {
      // Complete, or visibly aborted; a complete answer was compared above or is checked by its length.
      if (end.status === 'fulfilled') t.match(end.value.body.subarray(-4).toString(), '0000')
    }
  }
  t.ok(interrupted > 0, `${interrupted} kills fell into a fill`)
})

const settled = (answers: Promise<unknown>[]): Promise<boolean> =>
  Promise.race([Promise.allSettled(answers).then(() => true), sleep(0).then(() => false)])

t.test('two sidecars on one cache directory: each has its own part, and finds it again', async (t) => {
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  makeRepository(root, 'r.git')
  const [first, second] = await Promise.all([1, 2].map(() => startSidecar(t, root, { cacheDir })))
  for (const sidecar of [first!, second!]) {
    t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200)
    const entries = (): Promise<number> => sidecar.metric('refstream_store_entries')
    await eventually('it is committed', async () => (await entries()) === 1)
  }
  for (const instance of ['instance-0', 'instance-1'])
    t.equal(filesIn(cacheDir, 'entries', instance).length, 1)
  const later = [first!, second!].filter(({ log }) => log.some(({ instance }) => instance === 1))
  t.equal(later.length, 1, 'the second one reports that it is not the first')
  await Promise.all([first!.stop('SIGKILL'), second!.stop('SIGKILL')])
  const third = await startSidecar(t, root, { cacheDir })
  await ask(infoRefs(third.url, 'r.git'))
  t.equal(await third.metric('refstream_requests_total', { outcome: 'hit' }), 1)
})
