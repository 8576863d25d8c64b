import t from 'tap'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

// Below the project, where the packages are found.
mkdirSync('.run', { recursive: true })
const directory = mkdtempSync(resolve('.run/run-test-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))

function runTests(files: Record<string, string>, ...options: string[]) {
  const paths = Object.entries(files).map(([name, text]) => {
    const path = join(directory, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `import t from 'tap'\n${text}`)
    return path
  })
  const { PATH, HOME } = process.env
  // Other tests are using dist/.
  const command = ['test/run.mjs', '--no-build', ...options]
  const { status, stdout } = spawnSync(process.execPath, [...command, ...paths], {
    encoding: 'utf8',
    env: { PATH, HOME },
  })
  const lines = stdout.trimEnd().split('\n')
  /** The lines that repeat the failures. */
  const end = lines.slice(lines.indexOf('What has failed:') + 1, -1)
  return { status, lines, end }
}

t.test('failures are repeated at the end, before the last line', async (t) => {
  const { status, lines, end } = runTests(
    {
      'bad.test.mjs': `t.test('outer', async (t) => {
  t.ok(true)
  await t.test('inner', async (t) => t.same({ a: 1 }, { a: 2 }, 'they are the same'))
})
t.test('throws', async () => { throw new Error('boom') })
t.test('skipped', { skip: true }, async () => {})\n`,
      'ends.test.mjs': 'process.exit(3)\n',
    },
    '--jobs=1',
  )
  t.equal(status, 1)
  t.match(lines.at(-1), /^1 passed, 3 failed, 1 skipped$/)
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

t.test('a file that has not run all its tests has failed', async (t) => {
  const { status, lines, end } = runTests({
    'planned.test.mjs': 't.plan(2)\nt.pass()\n',
    'exits.test.mjs': "t.test('never ends', () => process.exit(0))\n",
    'killed.test.mjs': "t.pass()\nprocess.kill(process.pid, 'SIGKILL')\n",
    'misspelt.test.mjs': "import './nothing.js'\n",
    'bails.test.mjs': "t.pass()\nt.bailout('no use')\n",
  })
  t.equal(status, 1)
  t.match(lines.at(-1), /^\d passed, 5 failed$/)
  for (const name of ['planned', 'exits', 'killed', 'misspelt', 'bails']) {
    t.ok(
      end.some((line) => line.includes(`${name}.test.mjs`)),
      name,
    )
  }
})

t.test('a file that takes too long has failed, whether it waits, blocks or does not end', async (t) => {
  const { status, lines, end } = runTests(
    {
      'waits.test.mjs': "setTimeout(() => {}, 3e5)\nt.test('waits', () => new Promise(() => {}))\n",
      'blocks.test.mjs':
        "t.test('blocks', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))\n",
      'stays.test.mjs': "setInterval(() => {}, 1000)\nt.test('fine', async (t) => t.pass())\n",
      'asks.test.mjs': "t.setTimeout(60_000)\nt.test('slow', (t) => setTimeout(() => t.end(), 1500))\n",
    },
    '--timeout=1',
    '--jobs=4',
  )
  t.equal(status, 1)
  t.match(lines.at(-1), /^1 passed, 3 failed$/)
  for (const name of ['waits', 'blocks', 'stays']) {
    t.ok(
      end.some((line) => line.includes(`${name}.test.mjs`)),
      name,
    )
  }
})

t.test('only a file of test/e2e/ is run again alone, which the report says', async (t) => {
  const unsteady = (name: string): string => `import { existsSync, writeFileSync } from 'node:fs'
const seen = ${JSON.stringify(join(directory, name))}
const isFirst = !existsSync(seen)
writeFileSync(seen, '')
t.notOk(isFirst, 'it passes the second time')\n`
  const end = (again: string): RegExp => new RegExp(`^failed beside others, and passed alone: .*${again}$`)
  const good = runTests({ 'e2e/unsteady.test.mjs': unsteady('a') })
  t.equal(good.status, 0)
  t.match(good.lines.slice(-2), [end('e2e/unsteady.test.mjs'), /^1 passed, 0 failed$/])
  t.ok(good.lines.some((line) => line.startsWith('FAILED ')))
  const elsewhere = { 'other.test.mjs': unsteady('b') }
  t.match(runTests(elsewhere).lines.at(-1), /^0 passed, 1 failed$/)
  const bad = runTests({ 'e2e/unsteady.test.mjs': unsteady('c'), 'e2e/bad.test.mjs': 't.fail()\n' })
  t.equal(bad.status, 1)
  t.match(bad.lines.slice(-2), [end('e2e/unsteady.test.mjs'), /^1 passed, 1 failed$/])
  const once = runTests({ 'e2e/unsteady.test.mjs': unsteady('d') }, '--once')
  t.match(once.lines.at(-1), /^0 passed, 1 failed$/)
})

t.test('the positions in errors are those in the source', async (t) => {
  interface Typed {
    readonly padding: 'that the compiler removes'
  }
  const { stack } = new Error('boom' satisfies Typed | string)
  const lines = readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
  const number = lines.findIndex((line) => line.includes("new Error('boom' satisfies")) + 1
  t.match(stack, `test/run.test.ts:${number}:21`)
})

t.test('nothing is repeated if nothing has failed', async (t) => {
  const { status, lines } = runTests({ 'good.test.mjs': "t.test('fine', async (t) => t.ok(true))\n" })
  t.equal(status, 0)
  t.equal(lines.at(-1), '1 passed, 0 failed')
  t.notOk(lines.includes('What has failed:'))
})

t.test('every file of the smoke set exists', async (t) => {
  // A variable, so that the compiler looks for no types of it.
  const path = './smoke.mjs'
  const { smokeSet } = (await import(path)) as { smokeSet: string[] }
  for (const each of smokeSet) t.ok(existsSync(each), each)
})
