import t from 'tap'
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkCache } from '../../../src/cli/doctor/cache.js'
import { checkClock, type ClockReading } from '../../../src/cli/doctor/clock.js'
import { tempDir } from '../../support/temp-dir.js'

const none = { cacheMinFreeBytes: 0, cacheMinFreeInodes: 0 }

t.test('a writable directory', async (t) => {
  const directory = tempDir(t)
  t.match(await checkCache(directory, none), {
    wrong: false,
    line: new RegExp(`^cache: ${directory}, writable, `),
  })
  t.same(readdirSync(directory), [])
})

t.test('a missing directory is not created', async (t) => {
  const directory = tempDir(t)
  const { line, wrong } = await checkCache(join(directory, 'a/b'), none)
  t.match(line, `a/b, will be created in ${directory}, `)
  t.notOk(wrong)
  t.notOk(existsSync(join(directory, 'a')))
})

t.test('a file, or a path below a file', async (t) => {
  const file = join(tempDir(t), 'file')
  writeFileSync(file, '')
  for (const path of [file, join(file, 'x')]) {
    t.match(await checkCache(path, none), {
      wrong: true,
      line: /cannot be written: .*; requests are served uncached$/,
    })
  }
})

t.test('too little free space', async (t) => {
  const directory = tempDir(t)
  t.match(await checkCache(directory, { ...none, cacheMinFreeBytes: 2 ** 60 }), {
    wrong: true,
    line: /[KMG]iB free, less than --cache-min-free-bytes \(.*\): nothing is stored/,
  })
})

t.test(
  'a filesystem that takes no files',
  { skip: !existsSync('/proc/self') && 'there is no /proc' },
  async (t) => {
    t.match(await checkCache('/proc/self', none), { wrong: true, line: /cannot be written/ })
  },
)

t.test('a directory of another user', { skip: process.getuid?.() !== 0 }, async (t) => {
  const directory = join(tempDir(t), 'cache')
  mkdirSync(directory)
  chownSync(directory, 65534, 65534)
  t.match(await checkCache(directory, none), {
    line: /checked as root, .* belongs to user 65534: run .* \(sudo -u '#65534'\)$/,
    isWarning: true,
  })
})

t.test('what the clock of the filesystem shows', async (t) => {
  const directory = tempDir(t)
  const readings: ClockReading[] = []
  await checkCache(directory, none, readings)
  t.match(checkClock(readings), [{ line: `clock: within 10 s of that of the filesystem of ${directory}` }])
})
