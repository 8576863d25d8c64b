import t from 'tap'
import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DiskHelper } from '../../../../src/origin/disk/observation/disk-helper.js'
import { DiskHelpers } from '../../../../src/origin/disk/observation/disk-helpers.js'
import { eventually } from '../../../support/eventually.js'
import { tempDir } from '../../../support/temp-dir.js'

const program = fileURLToPath(new URL('../../../support/fifo-helper.mjs', import.meta.url))
const nfs = { id: '5', point: '/mnt', type: 'nfs4' }
const unanswered = { name: 'FilesystemUnanswered' }

function makeHelpers(t: Test, limitMs: number, max?: number) {
  const reported: string[] = []
  const config = { root: '/srv', rules: [], directoriesMax: 1, looseRefsMax: 1, linksAnywhere: true }
  const helpers = new DiskHelpers({
    config,
    limitMs,
    program,
    ...(max === undefined ? {} : { max }),
    stopped: (mounts) => reported.push(`stopped ${mounts.join()}`),
    resumed: (mounts) => reported.push(`resumed ${mounts.join()}`),
    unanswered: () => reported.push('unanswered'),
  })
  t.teardown(() => helpers.close())
  const fifo = join(tempDir(t), 'fifo')
  execFileSync('mkfifo', [fifo])
  const pid = async (answer: Promise<unknown>) => Number(((await answer) as string).split(' ')[0])
  return { start: { config, allowed: ['5'] }, helpers, reported, fifo, pid }
}

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test(
  'a helper that hangs: all pending queries fail at the limit, it is killed, and the next query starts another',
  async (t) => {
    const { start, fifo, pid } = makeHelpers(t, 0)
    const reported: string[] = []
    const options = {
      limitMs: 20_000,
      program,
      stopped: () => reported.push('stopped'),
      resumed: () => reported.push('resumed'),
      unanswered: () => reported.push('unanswered'),
    }
    const helper = new DiskHelper(start, ['/mnt'], options)
    t.teardown(() => helper.end())
    t.equal(helper.state, 'none')
    const first = await pid(helper.ask('relative', ['x']))
    t.equal(helper.state, 'idle')

    options.limitMs = 300
    const asked = [helper.ask('find', [fifo]), helper.ask('relative', ['x'])]
    t.equal(helper.state, 'busy')
    const results = await Promise.allSettled(asked)
    for (const result of results) t.match(result, { status: 'rejected', reason: unanswered })
    t.match(results[0], { reason: { mounts: ['/mnt'], retryAfterSeconds: 1 } })
    // In the same turn of the event loop, `exit` cannot have been emitted.
    t.equal(helper.state, 'stuck')
    options.limitMs = 20_000
    await t.rejects(helper.ask('relative', ['x']), unanswered, 'at once')
    t.same(reported, ['stopped', 'unanswered', 'unanswered', 'unanswered'])

    await eventually('it is gone', () => !isThere(first) && helper.state === 'none')
    t.not(await pid(helper.ask('relative', ['x'])), first)
    t.equal(reported.at(-1), 'resumed')
  },
)

t.test('a helper that is slow and still answers is not killed', async (t) => {
  const { helpers, reported, fifo, pid } = makeHelpers(t, 5000)
  const first = await pid(helpers.ask(nfs, 'relative', ['x']))
  const slow = pid(helpers.ask(nfs, 'find', [fifo]))
  const behind = pid(helpers.ask(nfs, 'relative', ['x']))
  await (await open(fifo, 'w')).close()
  t.same([await slow, await behind], [first, first])
  t.same(reported, [])
})

t.test(
  'errors are passed on, and a query that leads to another mount goes to a helper that serves both',
  async (t) => {
    const { helpers } = makeHelpers(t, 20_000)
    await t.rejects(helpers.ask(nfs, 'relative', ['fail']), { message: 'it fails' })
    t.match(await helpers.ask(nfs, 'relative', ['elsewhere']), /^\d+ 5\+9$/)
  },
)

t.test('a helper that dies is not restarted at once', async (t) => {
  const { helpers, reported } = makeHelpers(t, 20_000)
  await t.rejects(helpers.ask(nfs, 'relative', ['die']), unanswered)
  await t.rejects(helpers.ask(nfs, 'relative', ['x']), unanswered, 'at once')
  t.same(reported, ['unanswered', 'unanswered'])
})

t.test('the number of processes is limited: an idle one is replaced, a busy one is not', async (t) => {
  const { helpers, fifo, pid } = makeHelpers(t, 20_000, 2)
  const first = await pid(helpers.ask(nfs, 'relative', ['x']))
  await helpers.ask({ ...nfs, id: '6' }, 'relative', ['x'])
  await helpers.ask({ ...nfs, id: '7' }, 'relative', ['x'])
  await eventually('the one that was used least lately is gone', () => !isThere(first))
  const busy = ['6', '7'].map((id) => helpers.ask({ ...nfs, id }, 'find', [fifo]))
  await t.rejects(helpers.ask(nfs, 'relative', ['x']), unanswered)
  t.same(helpers.countByState, { running: 2, stuck: 0 })
  helpers.close()
  for (const each of await Promise.allSettled(busy)) t.match(each, { reason: unanswered })
})

t.test('a helper that hangs delays no other', async (t) => {
  const { helpers, fifo, pid } = makeHelpers(t, 20_000)
  const hung = helpers.ask(nfs, 'find', [fifo])
  t.ok(await pid(helpers.ask({ ...nfs, id: '6' }, 'relative', ['x'])))
  await (await open(fifo, 'w')).close()
  t.ok(await hung)
})
