import t, { type Test } from 'tap'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ref } from '../../../../src/git/protocol/ref-line.js'
import { changedInTables } from '../../../../src/git/state/reftable/changed-in-tables.js'
import { listedRefs } from '../../../support/listed-refs.js'
import { makeTable, type MadeRef, type MadeTable } from '../../../support/reftable.js'
import { tempDir } from '../../../support/temp-dir.js'

const one = '1'.repeat(40)
const two = '2'.repeat(40)
const id = (name: string, id: string, peeled?: string): MadeRef => ({
  name,
  value: peeled === undefined ? { id } : { id, peeled },
})
const gone = (name: string): MadeRef => ({ name, value: null })
const symref = (name: string, target: string): MadeRef => ({ name, value: { target } })

const listed = (name: string, objectId: string | undefined, more: Partial<Ref> = {}): Ref => ({
  ...{ name: Buffer.from(name, 'latin1'), objectId, symrefTarget: undefined, peeled: undefined },
  ...more,
})

const main = Buffer.from('refs/heads/main')
const listing = listedRefs([
  listed('HEAD', one, { symrefTarget: main }),
  listed('refs/heads/alias', one, { symrefTarget: main }),
  listed('refs/heads/main', one),
  listed('refs/tags/v1', two, { peeled: one }),
  listed('refs/x/\xff', one),
])

/** Makes tables by their update indexes: `add(2)`, `add(2, 4)`; returns their names. */
function makeStack(t: Test) {
  const directory = tempDir(t)
  const hex = (index: number): string => `0x${index.toString(16).padStart(12, '0')}`
  let count = 0
  const add = (min: number, max: number, refs: readonly MadeRef[] = [], options: MadeTable = {}): string => {
    const name = `${hex(min)}-${hex(max)}-${String(count++).padStart(8, '0')}.ref`
    writeFileSync(join(directory, name), makeTable(refs, { ...options, min, max }))
    return name
  }
  const changed = (before: string[], now: string[], candidates = 1000): ReturnType<typeof changedInTables> =>
    changedInTables(directory, before, now, listing, { candidates })
  return { directory, add, changed }
}

t.test('what new tables say is compared with the listing', async (t) => {
  const { add, changed } = makeStack(t)
  const bottom = add(1, 1)
  const cases: [string, MadeRef[], string[]][] = [
    ['all as listed', [id('refs/heads/main', one), id('refs/tags/v1', two, one), id('refs/x/\xff', one)], []],
    ['another id', [id('refs/heads/main', two)], ['refs/heads/main']],
    ['another peeled id', [id('refs/tags/v1', two, two)], ['refs/tags/v1']],
    ['no peeled id', [id('refs/tags/v1', two)], ['refs/tags/v1']],
    ['a peeled id that is not listed', [id('refs/heads/main', one, two)], ['refs/heads/main']],
    ['a new ref', [id('refs/heads/\xfe', one)], ['refs/heads/\xfe']],
    ['deleted', [gone('refs/tags/v1')], ['refs/tags/v1']],
    ['deleted, but not listed', [gone('refs/heads/other')], []],
    ['no symbolic ref any more', [id('refs/heads/alias', one)], ['refs/heads/alias']],
    ['a symbolic ref as it is', [symref('refs/heads/alias', 'refs/heads/main')], ['refs/heads/alias']],
    ['not in listings', [id('AUTO_MERGE', two), symref('ORIG_HEAD', 'refs/heads/x')], []],
    ['HEAD as it is', [symref('HEAD', 'refs/heads/main')], []],
  ]
  for (const [title, refs, names] of cases) {
    t.same(await changed([bottom], [bottom, add(2, 2, refs)]), names, title)
  }
  for (const head of [symref('HEAD', 'refs/heads/x'), id('HEAD', one), gone('HEAD')]) {
    t.same(await changed([bottom], [bottom, add(2, 2, [head])]), { full: 'reftable' })
  }
})

t.test('a name counts if one of several new tables says something else', async (t) => {
  const { add, changed } = makeStack(t)
  const bottom = add(1, 1)
  const tables = [add(2, 2, [id('refs/heads/main', two)]), add(3, 3, [id('refs/heads/main', one)])]
  t.same(await changed([bottom], [bottom, ...tables]), ['refs/heads/main'])
  const many = add(2, 2, [gone('refs/heads/main'), id('refs/heads/n', one), gone('refs/tags/v1')])
  t.same(await changed([bottom], [bottom, many], 3), ['refs/heads/main', 'refs/heads/n', 'refs/tags/v1'])
  t.same(await changed([bottom], [bottom, many], 2), { full: 'candidates' })
})

t.test('stacks change by tables on top and by compaction without the bottom', async (t) => {
  const { add, changed } = makeStack(t)
  const refs = [gone('refs/tags/v1')]
  const [t1, t2, t3, t4] = [add(1, 1), add(2, 2, refs), add(3, 3), add(4, 4)] as const
  const [c23, c34, c14, n5, n2] = [
    add(2, 3, refs),
    add(3, 4, refs),
    add(1, 4),
    add(5, 5, refs),
    add(2, 2),
  ] as const
  const names = ['refs/tags/v1']
  const full = { full: 'reftable' }
  const cases: [string, string[], string[], readonly string[] | object][] = [
    ['the same', [t1, t2], [t1, t2], []],
    ['empty', [], [], []],
    ['one on top', [t1], [t1, t2], names],
    ['compacted in the middle', [t1, t2, t3, t4], [t1, c23, t4], names],
    ['compacted in the middle, one on top', [t1, t2, t3, t4], [t1, c23, t4, n5], names],
    ['compacted at the top', [t1, t2, t3, t4], [t1, t2, c34], names],
    ['compacted with one that was not seen', [t1, t2, t3], [t1, t2, c34], names],
    ['all compacted', [t1, t2, t3, t4], [c14], full],
    ['the first table', [], [t1], full],
    ['all tables gone', [t1], [], full],
    ['one gone', [t1, t2, t3], [t1, t3], full],
    ['the top gone', [t1, t2, t3], [t1, t2], full],
    ['back to an older state, then another change', [t1, t2, t3], [t1, n2], full],
    ['one replaced by itself', [t1, t2], [t1, n2], full],
    ['in another order', [t1, t2, t3], [t1, t3, t2], full],
    ['one put in between', [t1, t3], [t1, t2, t3], full],
    ['twice the same', [t1, t2], [t1, t2, t2], full],
    ['missing', [t1], [t1, '0x000000000002-0x000000000002-ffffffff.ref'], full],
    ['elsewhere', [t1], [t1, `../${t2}`], full],
    ['no file', [t1], [t1, '..'], full],
    ['a name of unknown form', [t1, 'a', 'b'], [t1, c23], full],
  ]
  for (const [title, before, now, expected] of cases) t.same(await changed(before, now), expected, title)
})

t.test('what is no sound table means that all refs are listed', async (t) => {
  const { directory, add, changed } = makeStack(t)
  const bottom = add(1, 1)
  const refs = [id('refs/heads/main', two)]
  const table = add(2, 2, refs)
  symlinkSync(table, join(directory, 'link.ref'))
  writeFileSync(join(directory, 'cut.ref'), makeTable(refs).subarray(0, -1))
  for (const name of ['link.ref', 'cut.ref', '.']) {
    t.same(await changed([bottom], [bottom, name]), { full: 'reftable' }, name)
  }
  const signal = AbortSignal.abort(new Error('enough'))
  const aborted = changedInTables(directory, [bottom], [bottom, table], listing, { candidates: 9 }, signal)
  await t.rejects(aborted, { message: 'enough' })
})
