import t from 'tap'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

// Below the project: tap writes the results of a file elsewhere outside of .tap/.
mkdirSync('.run', { recursive: true })
const directory = mkdtempSync(resolve('.run/run-test-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))

function runTests(files: Record<string, string>) {
  const paths = Object.entries(files).map(([name, text]) => {
    const path = join(directory, name)
    writeFileSync(path, `import t from ${JSON.stringify(import.meta.resolve('tap'))}\n${text}`)
    return path
  })
  const { PATH, HOME } = process.env
  const options = { encoding: 'utf8', env: { PATH, HOME } } as const
  // Other tests are using dist/.
  const command = ['test/run.mjs', '--no-build', '--jobs=1']
  const run = () => {
    const { status, stdout } = spawnSync(process.execPath, [...command, ...paths], options)
    return { status, lines: stdout.trimEnd().split('\n') }
  }
  const first = run()
  // It shares .tap/ with the run that this test is part of, and may find its files gone: then it has run no test.
  return first.lines.includes('  the test runner') ? run() : first
}

t.test('failures are repeated at the end, before the last line', async (t) => {
  const { status, lines } = runTests({
    'bad.test.mjs': `t.test('outer', async (t) => {
  t.ok(true)
  await t.test('inner', async (t) => t.same({ a: 1 }, { a: 2 }, 'they are the same'))
})
t.test('throws', async () => { throw new Error('boom') })
t.test('skipped', { skip: true }, async () => {})\n`,
    'ends.test.mjs': 'process.exit(3)\n',
  })
  t.equal(status, 1)
  t.match(lines.at(-1), /^1 passed, 3 failed, 1 skipped$/)
  const end = lines.slice(lines.indexOf('What has failed:') + 1, -1)
  const starts = end.filter((line) => /^ {2}\S/.test(line))
  t.match(starts, [
    /bad\.test\.mjs > outer > inner > they are the same$/,
    /bad\.test\.mjs > throws > boom$/,
    /ends\.test\.mjs$/,
  ])
  for (const part of ['"a": 2', '"a": 1', 'bad.test.mjs:4', 'exit code 3']) {
    t.ok(
      end.some((line) => line.includes(part)),
      part,
    )
  }
  t.ok(end.length < 30, 'in short form')
})

t.test('nothing is repeated if nothing has failed', async (t) => {
  const { status, lines } = runTests({ 'good.test.mjs': "t.test('fine', async (t) => t.ok(true))\n" })
  t.equal(status, 0)
  t.equal(lines.at(-1), '1 passed, 0 failed')
  t.notOk(lines.includes('What has failed:'))
})

t.test('every file of the smoke set exists: the runner ignores those that do not', async (t) => {
  // A variable, so that the compiler looks for no types of it.
  const path = './smoke.mjs'
  const { smokeSet } = (await import(path)) as { smokeSet: string[] }
  for (const each of smokeSet) t.ok(existsSync(each), each)
})
