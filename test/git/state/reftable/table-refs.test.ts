import t, { type Test } from 'tap'
import { deepEqual, ok } from 'node:assert'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { TableFile } from '../../../../src/git/state/reftable/table-file.js'
import { scanRefs } from '../../../../src/git/state/reftable/table-refs.js'
import { makeTable, type MadeRef, type MadeTable } from '../../../support/reftable.js'
import { Random } from '../../../support/random.js'
import { tempDir } from '../../../support/temp-dir.js'

/** Returns a function that reads the records of a table. */
function makeReader(t: Test): (table: Buffer, signal?: AbortSignal) => Promise<MadeRef[]> {
  const path = join(tempDir(t), 'table')
  return async (table, signal) => {
    writeFileSync(path, table)
    const file = await TableFile.open(path)
    const refs: MadeRef[] = []
    const visit: Parameters<typeof scanRefs>[1] = ({ name, type, objectId, peeled, target }) => {
      const id = peeled === undefined ? { id: objectId } : { id: objectId, peeled }
      const value =
        type === 'deletion' ? null : type === 'symref' ? { target: target.toString('latin1') } : id
      refs.push({ name: name.toString('latin1'), value })
      return true
    }
    try {
      await scanRefs(file, visit, signal)
    } finally {
      await file.close()
    }
    return refs
  }
}

const hexOf = (hash: 'sha1' | 's256'): fc.Arbitrary<string> => {
  const bytes = hash === 'sha1' ? 20 : 32
  return fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((array) => Buffer.from(array).toString('hex'))
}

const bytesOfName = fc.constantFrom('a', 'b', 'z', '/', '-', '.', '0', '\x21', '\x7e', '\x80', '\xff')
const nameOf = fc
  .tuple(
    fc.constantFrom('HEAD', 'refs/heads/', 'refs/heads/main', 'refs/tags/v1'),
    fc.array(bytesOfName, { maxLength: 12 }),
    fc.constantFrom(0, 0, 0, 0, 0, 0, 100, 250),
  )
  .map(([start, end, long]) => `${start}${end.join('')}${'x'.repeat(long)}`)

const refsOf = (hash: 'sha1' | 's256', maxLength: number): fc.Arbitrary<MadeRef[]> => {
  const id = hexOf(hash)
  const value = fc.oneof(
    fc.constant(null),
    fc.record({ id }),
    fc.record({ id, peeled: id }),
    nameOf.map((target) => ({ target })),
  )
  return fc
    .uniqueArray(fc.record({ name: nameOf, value }), { maxLength, selector: ({ name }) => name, size: 'max' })
    .map((refs) => refs.sort((a, b) => (a.name < b.name ? -1 : 1)))
}

const tableOf = fc.constantFrom('sha1' as const, 's256' as const).chain((hash) =>
  fc.record({
    refs: refsOf(hash, 150),
    options: fc.record({
      hash: fc.constant(hash),
      version: hash === 'sha1' ? fc.constantFrom(1 as const, 2 as const) : fc.constant(2 as const),
      blockSize: fc.constantFrom(0, 700, 1024, 4096, 65_536, 16_777_215),
      unalignedBytes: fc.constantFrom(1, 300, 5000),
      restartEvery: fc.constantFrom(1, 3, 16, 1000),
      indexMax: fc.constantFrom(0, 1, 3),
      min: fc.constantFrom(0, 1, 2 ** 40),
      objects: fc.boolean(),
      logs: fc.boolean(),
    }),
  }),
)

/** Neither an object section without refs nor 16 MiB of padding in each of many blocks is worth writing. */
const optionsFor = (refs: readonly MadeRef[], options: MadeTable): MadeTable => ({
  ...options,
  objects: (options.objects ?? false) && refs.length > 0 && options.blockSize !== 16_777_215,
  logs: (options.logs ?? false) && options.blockSize !== 16_777_215,
})

t.test('tables of all kinds give the records they were made of', async (t) => {
  const read = makeReader(t)
  const property = fc.asyncProperty(tableOf, async ({ refs, options }) => {
    deepEqual(await read(makeTable(refs, optionsFor(refs, options))), refs)
  })
  await fc.assert(property, { numRuns: 120 })
})

const sample = (count: number, digit = '1'): MadeRef[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `refs/heads/b${String(index).padStart(6, '0')}`,
    value: index % 7 === 3 ? null : { id: digit.repeat(40) },
  }))

t.test('a table with several levels of index, by which a missing block is noticed', async (t) => {
  const read = makeReader(t)
  const refs = sample(3000)
  for (const indexMax of [1, 3]) {
    const table = makeTable(refs, { blockSize: 512, indexMax })
    t.same(await read(table), refs)
    // The type of a ref block in the middle is made to say that the index begins there.
    table.write('i', 512 * 20, 'latin1')
    await t.rejects(read(table), { name: 'DamagedTable' })
  }
})

t.test('what is not known, or damaged, is an error', async (t) => {
  const read = makeReader(t)
  const refs = sample(300)
  const table = makeTable(refs, { logs: true, objects: true })
  const cases: Record<string, (table: Buffer) => Buffer | undefined> = {
    'does not begin with REFT': (bytes) => void bytes.write('X'),
    'format version 3 is not known': (bytes) => void (bytes[4] = 3),
    'the checksum of its footer is wrong': (bytes) => void (bytes[bytes.length - 5]! ^= 1),
    'header and footer differ': (bytes) => void (bytes[15]! ^= 1),
    '20 bytes are too few': (bytes) => bytes.subarray(0, 20),
    'a block cannot have 16777215 bytes': (bytes) => void bytes.fill(0xff, 25, 28),
    'a ref has a value of unknown type 7': (bytes) => void (bytes[30]! |= 7),
    'a block does not begin with a restart': (bytes) => {
      const end = bytes.readUIntBE(25, 3)
      return void bytes.writeUIntBE(29, end - 2 - 3 * bytes.readUInt16BE(end - 2), 3)
    },
    'padding is not zeros': (bytes) => void (bytes[bytes.readUIntBE(25, 3) + 1] = 1),
  }
  for (const [message, damage] of Object.entries(cases)) {
    const copy = Buffer.from(table)
    await t.rejects(read(damage(copy) ?? copy), { name: 'DamagedTable', message }, message)
  }
  await t.rejects(read(makeTable([{ name: 'refs/heads/a b', value: null }])), /bytes that no name can have/)
  await t.rejects(read(makeTable([...refs].reverse())), /names are out of order/)
  await t.rejects(read(makeTable([refs[0]!, refs[0]!])), /names are out of order/)
  const long = { name: `refs/${'x'.repeat(65_000)}`, value: null }
  await t.rejects(read(makeTable([long], { blockSize: 0 })), /a name is too long/)
  // A table of refs only, of which one bit says that it has logs only.
  const noLogs = makeTable(refs.slice(0, 10))
  noLogs.write('g', 24)
  await t.rejects(read(noLogs), /its first block is not known/)
})

t.test('one bit that is wrong in header, footer or padding, and every cut, is noticed', async (t) => {
  const read = makeReader(t)
  const random = new Random(17)
  const refs = sample(400)
  const table = makeTable(refs, { blockSize: 2048, logs: true })
  for (let at = 0; at < table.length; at++) {
    if (at >= 24 && at < table.length - 68) continue
    const copy = Buffer.from(table)
    copy[at]! ^= 1 << random.below(8)
    await t.rejects(read(copy), { name: 'DamagedTable' }, `byte ${at}`)
  }
  for (let count = 0; count < 100; count++) {
    await t.rejects(read(table.subarray(0, random.below(table.length))), { name: 'DamagedTable' })
  }
})

t.test('random damage gives an error or sound records, soon', async (t) => {
  const read = makeReader(t)
  const random = new Random(4)
  const tables = [
    makeTable(sample(600), { blockSize: 512, logs: true, objects: true }),
    makeTable(sample(600, '2'), { blockSize: 512, logs: true, objects: true }),
    makeTable(sample(600), { blockSize: 0, unalignedBytes: 500 }),
    makeTable(sample(50), { version: 2, blockSize: 4096, restartEvery: 2 }),
  ]
  const results = { error: 0, read: 0 }
  for (let count = 0; count < 900; count++) {
    const table = Buffer.from(random.pick(tables))
    const kind = random.below(3)
    const at = random.below(table.length)
    if (kind === 0) table[at]! ^= 1 << random.below(8)
    else if (kind === 1) random.pick(tables).copy(table, at, random.below(1500), 1500 + random.below(9000))
    else for (let at = 0; at < 5; at++) table[24 + random.below(table.length - 92)] = random.below(256)
    const startedAt = performance.now()
    try {
      const refs = await read(table)
      results.read++
      for (const [index, { name }] of refs.entries()) {
        ok(/^[\x21-\x7e\x80-\xff]+$/.test(name) && (index === 0 || refs[index - 1]!.name < name))
      }
    } catch (error) {
      results.error++
      if ((error as Error).name !== 'DamagedTable') throw error
    }
    ok(performance.now() - startedAt < 2000)
  }
  t.ok(results.error > 300 && results.read > 50, JSON.stringify(results))
})

t.test('a scan ends when its signal aborts', async (t) => {
  const read = makeReader(t)
  const controller = new AbortController()
  setImmediate(() => controller.abort(new Error('enough')))
  await t.rejects(read(makeTable(sample(50_000)), controller.signal), { message: 'enough' })
})
