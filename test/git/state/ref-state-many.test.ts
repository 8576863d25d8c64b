import t from 'tap'
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import type { ObservationSettings } from '../../../src/git/state/repository-state.js'
import { observeRefState, type RefState, makeRefObserver } from '../../support/ref-observations.js'
import { makeCommit, makeRepository } from '../../support/repositories.js'

t.test('1,000 directories with 100,000 loose refs', async (t) => {
  const { root } = makeRefObserver(t)
  const path = makeRepository(root, 'x.git')
  const line = `${makeCommit(path, 'one')}\n`
  const directory = (index: number): string => `${path}/refs/heads/${index % 10}/${index}`
  for (let index = 0; index < 1000; index++) {
    mkdirSync(directory(index), { recursive: true })
    // Hard links are made faster than files; a filesystem allows some 65,000 per file.
    if (index % 500 === 0) writeFileSync(`${directory(index)}/0`, line)
    const first = `${directory(index - (index % 500))}/0`
    for (let ref = 1; ref <= 100; ref++) linkSync(first, `${directory(index)}/${ref}`)
  }
  await sleep(30)

  // Directories are listed until an observation can remember the listings.
  const memory = new SnapshotMemory()
  let reads = 0
  const keep = memory.set.bind(memory)
  memory.set = (...args) => {
    reads++
    return keep(...args)
  }
  const scopes = { files: [], home: undefined, variables: [] }
  const settings: ObservationSettings = {
    root: new RepositoriesRoot(root),
    scopes,
    programs: [],
    environmentDigest: '',
  }
  const snapshot = async (): Promise<RefState> =>
    (await observeRefState(settings, memory, 'x', { directories: Infinity, looseRefs: 0 }))!

  let turns = 0
  const other = (): void => {
    turns++
    waiting = setImmediate(other)
  }
  let waiting = setImmediate(other)
  const first = await snapshot()
  clearImmediate(waiting)
  t.ok(reads > 1000, 'the first observation lists every directory')
  t.ok(turns > 0, 'and lets other work have its turn meanwhile')
  t.equal(first.refs.unsettledMs, 0)

  reads = 0
  t.equal((await snapshot()).refs.token, first.refs.token)
  t.equal(reads, 0, 'the second reads none')

  reads = 0
  writeFileSync(`${directory(777)}/new`, line)
  const young = await snapshot()
  t.equal(reads, 1, 'that one alone is read again')
  t.not(young.refs.token, first.refs.token, 'a ref in one of them is seen')
  // A timer may fire slightly early.
  await sleep(young.refs.unsettledMs + 2)
  reads = 0
  t.equal((await snapshot()).refs.token, young.refs.token)
  t.equal(reads, 0, 'and then not again')
})
