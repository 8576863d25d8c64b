import t from 'tap'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSymrefMemory, symrefNames } from '../../../../src/git/state/reftable/symref-names.js'
import { makeTable, type MadeRef } from '../../../support/reftable.js'
import { tempDir } from '../../../support/temp-dir.js'

const symref = (name: string): MadeRef => ({ name, value: { target: 'refs/heads/main' } })
const id = (name: string): MadeRef => ({ name, value: { id: '1'.repeat(40) } })

t.test('symbolic refs of all tables, also of those that later tables replace', async (t) => {
  const directory = tempDir(t)
  const write = (name: string, refs: MadeRef[]): void => writeFileSync(join(directory, name), makeTable(refs))
  write('a', [symref('HEAD'), symref('refs/heads/a'), id('refs/heads/b'), symref('refs/x/\xff')])
  write('b', [id('refs/heads/a'), symref('refs/heads/c'), symref('refs/x/\xff')])
  const names = ['refs/heads/a', 'refs/x/\xff', 'refs/heads/c']
  t.same(await symrefNames(directory, ['a', 'b']), names)
  const memory = createSymrefMemory(100_000)
  t.same(await symrefNames(directory, ['a', 'b'], undefined, memory), names)
  t.equal(memory.size, 2)
  t.same(await symrefNames(directory, ['a', 'b'], undefined, memory), names)

  t.test('what is remembered belongs to the file, not to its name alone', async (t) => {
    rmSync(join(directory, 'b'))
    write('b', [symref('refs/heads/other')])
    t.same(await symrefNames(directory, ['b'], undefined, memory), ['refs/heads/other'])
  })
  await t.rejects(symrefNames(directory, ['a', 'missing'], undefined, memory), { code: 'ENOENT' })
  await t.rejects(symrefNames(directory, ['../a']), {
    name: 'DamagedTable',
    message: 'reftable "../a": not the name of a file',
  })
  writeFileSync(join(directory, 'c'), 'no table')
  await t.rejects(symrefNames(directory, ['c']), { message: 'reftable "c": does not begin with REFT' })
})

t.test('no more than ten thousand names are collected', async (t) => {
  const directory = tempDir(t)
  const refs = Array.from({ length: 12_000 }, (_, index) => symref(`refs/${String(index).padStart(9, '0')}`))
  writeFileSync(join(directory, 'a'), makeTable(refs))
  t.equal((await symrefNames(directory, ['a'])).length, 10_000)
})
