import t from 'tap'
import { createHash } from 'node:crypto'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'

const hashed = (records: string[]): string =>
  createHash('sha1').update(records.join('\0')).digest('base64url')

t.test('a digest that is remembered is that of the same records, and of no others', async (t) => {
  const memory = new SnapshotMemory()
  const many = Array.from({ length: 1000 }, (_, index) => `file ${index}`)
  const lists = [
    ['r', 'a', 'b'],
    ['r', 'a'],
    ['r', 'ab'],
    ['r', 'a', 'c'],
    ['r', 'b', 'a'],
    ['s', 'a', 'b'],
    ['r'],
    [],
    many,
    [...many, 'one more'],
  ]
  for (const records of [...lists, ...[...lists].reverse(), ...lists])
    t.equal(memory.digestOf(records), hashed(records))
})

t.test('records that grow after their digest was made have another one', async (t) => {
  const memory = new SnapshotMemory()
  const records = ['r', 'a']
  memory.digestOf(records)
  records.push('b')
  t.equal(memory.digestOf(records), hashed(records))
  t.equal(memory.digestOf(['r', 'a']), hashed(['r', 'a']))
})
