import t from 'tap'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { Trace2Files, trace2MaxBytes } from '../../../../src/telemetry/tracing/trace2/trace2-files.js'
import { tempDir } from '../../../support/temp-dir.js'

t.test('a file is read once, up to its limit, and removed', async (t) => {
  const temporary = tempDir(t)
  const files = await Trace2Files.open(temporary)
  const [directory = ''] = readdirSync(temporary)
  t.equal(statSync(`${temporary}/${directory}`).mode & 0o777, 0o700, 'only this user may enter')
  const file = files.fileFor('a')!
  writeFileSync(file.path, 'events')
  t.same(await file.take(), { text: 'events', isCut: false })
  t.notOk(existsSync(file.path))
  t.throws(() => writeFileSync(file.path, 'late'), { code: 'ENOENT' }, 'what still runs cannot make it again')

  const large = files.fileFor('b')!
  writeFileSync(large.path, 'x'.repeat(trace2MaxBytes + 5))
  const { text, isCut } = await large.take()
  t.same([text.length, isCut], [trace2MaxBytes, true])
  t.same(await files.fileFor('c')!.take(), { text: '', isCut: false }, 'Git has written nothing')

  const last = files.fileFor('d')!
  writeFileSync(last.path, 'events')
  const taken = last.take()
  await files.close()
  t.same(await taken, { text: 'events', isCut: false }, 'what is being read is waited for')
  t.same(readdirSync(temporary), [])
  t.equal(files.fileFor('e'), undefined, 'there is no place any more')
})

t.test('without a temporary directory it cannot be opened', async (t) => {
  await t.rejects(Trace2Files.open('/nowhere/at/all'), { code: 'ENOENT' })
})
