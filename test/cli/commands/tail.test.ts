import t from 'tap'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { lineOf } from '../../../src/cli/commands/tail.js'
import type { TailedRequest } from '../../../src/status/request-tail.js'
import { runCommand } from '../../support/command.js'
import { eventually } from '../../support/eventually.js'
import { ask, infoRefs } from '../../support/http-client.js'
import { startHttpServer } from '../../support/http-server.js'
import { makeRepository } from '../../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'
import { askAnew, startWorkers } from '../../support/workers.js'

/** Starts `refstream tail --json`, and returns what it has printed so far. */
function startTail(t: Test, adminUrl: string, ...args: string[]): Record<string, unknown>[] {
  const command = [program, 'tail', '--json', '--admin', adminUrl, ...args]
  const child = spawn(process.execPath, command, {
    env: cleanEnvironment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: Record<string, unknown>[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>))
  return lines
}

t.test('requests are printed as they end, those that are wanted', async (t) => {
  const root = tempDir(t)
  for (const name of ['team/a.git', 'other/b.git']) makeRepository(root, name)
  const { url, adminUrl } = await startSidecar(t, root)
  const [all, some] = [
    startTail(t, adminUrl),
    startTail(t, adminUrl, '--repository', 'team/*', '--outcome', 'hit'),
  ]
  // It is there once it has printed something.
  const askUntil = (what: string, is: () => boolean): Promise<void> =>
    eventually(what, async () => {
      await ask(infoRefs(url, 'team/a.git'))
      await ask(infoRefs(url, 'other/b.git'))
      return is()
    })
  await askUntil('both have begun', () => all.length > 0 && some.length > 0)
  await ask(infoRefs(url, 'team/a.git'))
  await ask(infoRefs(url, 'missing.git'))
  await eventually('the last one', () => all.some(({ outcome }) => outcome === 'not_found'))
  t.match(
    all.find(({ repository }) => repository === 'other/b.git'),
    { outcome: /hit|filled/, status: 200, client: '127.0.0.1', kind: 'advertisement', transport: 'http' },
  )
  t.same(
    new Set(some.map(({ repository, outcome }) => `${String(repository)} ${String(outcome)}`)),
    new Set(['team/a.git hit']),
  )
  const ids = all.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length, 'each once')
})

t.test('with workers, requests of all of them are printed', async (t) => {
  const { url, sidecar } = await startWorkers(t)
  const lines = startTail(t, sidecar.adminUrl)
  let count = 0
  await eventually('it has begun', async () => {
    count++
    await askAnew(url)
    return lines.length > 0
  })
  const before = lines.length
  for (let more = 0; more < 20; more++) await askAnew(url)
  await eventually('all of them', () => lines.length >= before + 20)
  t.ok(lines.length <= count + 20, 'none twice')
})

t.test('a line has what is looked for, and no control characters', async (t) => {
  const request: TailedRequest = {
    ...{
      at: Date.UTC(2026, 0, 1, 12, 30),
      id: 'x',
      transport: 'http',
      method: 'GET',
      kind: 'ls-refs',
      version: 2,
    },
    ...{ repository: 'a\x1b[1m.git', outcome: 'hit', status: 200, sentBytes: 10, ms: 1.25, waitedMs: 0 },
    ...{ user: 'alice', client: '192.0.2.1' },
  }
  t.equal(
    lineOf(request),
    '12:30:00.000       1.3 ms  hit         ls-refs v2                 10 B  a\\x1b[1m.git  alice@192.0.2.1  x',
  )
})

t.test('without a sidecar, or with a glob that is none, it says so', async (t) => {
  t.match(await runCommand(['tail', '--admin', '127.0.0.1:1']), {
    ...{ status: 1, stdout: '', stderr: /^refstream: no sidecar answers at http:\/\/127\.0\.0\.1:1: .*\n$/ },
  })
  const { adminUrl } = await startSidecar(t, tempDir(t))
  t.match(await runCommand(['tail', '--admin', adminUrl, '--repository', '[b-a]']), {
    ...{ status: 1, stderr: /answers with status 400: repository: .*\n$/ },
  })
})

t.test('what a server says cannot change the terminal', async (t) => {
  const port = await startHttpServer(t, (_request, response) => {
    response.writeHead(500, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ detail: 'a\u001b[2Jb' }))
  })
  const { status, stderr } = await runCommand(['tail', '--admin', `127.0.0.1:${port}`])
  t.equal(status, 1)
  t.match(stderr, 'status 500: a\\x1b[2Jb\n')
})
