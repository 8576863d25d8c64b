import t from 'tap'
import { equal } from 'node:assert'
import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { CandidateNames } from '../../../../src/git/state/ref-changes/candidate-names.js'
import { FullNeeded } from '../../../../src/git/state/ref-changes/full-reason.js'
import { Pace } from '../../../../src/git/state/ref-changes/pace.js'
import { addPackedChanges } from '../../../../src/git/state/ref-changes/packed-refs-changes.js'
import { Random } from '../../../support/random.js'
import { tempDir } from '../../../support/temp-dir.js'

const header = '# pack-refs with: peeled fully-peeled sorted \n'
const oid = (digit: number): string => String(digit).repeat(40)

/** Values by the names of refs: object, or object and peeled object. */
type Refs = ReadonlyMap<string, readonly number[]>

const textOf = (refs: Refs): string =>
  [...refs.keys()]
    .sort()
    .map((name) => {
      const [object, peeled] = refs.get(name)!
      return `${oid(object!)} ${name}\n${peeled === undefined ? '' : `^${oid(peeled)}\n`}`
    })
    .join('')

function makeComparison(t: Parameters<typeof tempDir>[0]) {
  const directory = tempDir(t)
  /** @param size bytes that are held at once */
  return async (before: string | undefined, now: string | undefined, size = 256, limit = 1000) => {
    const candidates = new CandidateNames(limit)
    const [one, other] = await Promise.all(
      [before, now].map(async (text, index) => {
        if (text === undefined) return undefined
        const path = join(directory, String(index))
        writeFileSync(path, text, 'latin1')
        return open(path)
      }),
    )
    try {
      await addPackedChanges(candidates, one, other, new Pace(new AbortController().signal), size)
      const names = candidates.canonical()
      return names.length === 1 && names[0] === '' ? [] : names
    } catch (error) {
      if (error instanceof FullNeeded) return error.full
      throw error
    } finally {
      await one?.close()
      await other?.close()
    }
  }
}

t.test('names that differ in two versions, at every size of window', async (t) => {
  const compare = makeComparison(t)
  const random = new Random(7)
  const names = Array.from({ length: 40 }, (_, index) => `refs/${'x'.repeat((index * 7) % 40)}${index}end`)
  const value = (): readonly number[] =>
    random.below(3) === 0 ? [random.below(3), 1 + random.below(2)] : [random.below(3)]
  for (let round = 0; round < 250; round++) {
    const before = new Map(names.filter(() => random.below(5) > 0).map((name) => [name, value()]))
    const now = new Map(before)
    for (let changes = random.below(4); changes > 0; changes--) {
      const name = random.pick(names)
      if (random.below(3) === 0) now.delete(name)
      else now.set(name, value())
    }
    const changed = names.filter((name) => String(before.get(name)) !== String(now.get(name))).sort()
    const texts = [before, now].map((refs) => (refs.size === 0 ? '' : header + textOf(refs)))
    const found = await compare(texts[0], texts[1], 200 + random.below(400))
    equal(String(found), String(changed), `round ${round}`)
  }
  t.end()
})

t.test('files that are missing, empty, malformed or not sorted', async (t) => {
  const compare = makeComparison(t)
  const line = (name: string): string => `${oid(1)} ${name}\n`
  const a = `${header}${line('refs/a')}`
  t.same(await compare(undefined, undefined), [])
  t.same(await compare(undefined, ''), [])
  t.same(await compare(undefined, a), ['refs/a'])
  t.same(await compare(a, undefined), ['refs/a'])
  t.same(await compare(a, header), ['refs/a'])
  t.same(await compare(a, `${a}^${oid(2)}\n`), ['refs/a'], 'a peeled object')
  const full = 'packed-refs'
  t.equal(await compare(a, line('refs/b')), full, 'no header')
  t.equal(await compare(a, `# pack-refs with: peeled \n${line('refs/b')}`), full, 'not sorted, as it says')
  t.equal(await compare(a, `# pack-refs with: peeled sorted \n${line('refs/b')}`), full, 'another header')
  t.equal(await compare(a, `${header}${line('refs/c')}${line('refs/b')}`), full, 'not sorted')
  t.equal(await compare(a, `${a}${oid(1)} refs/b`), full, 'no newline')
  t.equal(await compare(a, `${a}^${oid(1)}\n^${oid(1)}\n`), full, 'two peeled objects')
  t.equal(await compare(a, `${a}${oid(1).slice(1)} refs/b\n`), full, 'no object id')
  t.equal(await compare(a, `${header}${line(`refs/${'b'.repeat(300)}`)}`), full, 'a line that is too long')
  t.equal(await compare(a, `${header}${line('outside')}`), 'candidates', 'outside of refs/')
})

t.test('a large file is compared in slices', async (t) => {
  const compare = makeComparison(t)
  const lines = Array.from(
    { length: 60_000 },
    (_, index) => `${oid(1)} refs/heads/${String(index).padStart(6, '0')}\n`,
  )
  const before = header + lines.join('')
  const drop = new Set([0, 17, 30_000, 59_999])
  const now = header + lines.filter((_, index) => !drop.has(index)).join('')
  const names = [...drop].map((index) => `refs/heads/${String(index).padStart(6, '0')}`)
  let turns = 0
  const count = (): void => {
    turns++
    waiting = setImmediate(count)
  }
  let waiting = setImmediate(count)
  t.same(await compare(before, now, 64 * 1024), names)
  clearImmediate(waiting)
  t.ok(turns > 50, `${turns} turns of other work`)
  t.equal(await compare(before, header, 64 * 1024, 1000), 'candidates')
})
