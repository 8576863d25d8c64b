import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { askAnew } from '../support/workers.js'

const [, reload = ''] = /^ExecReload=(.*)$/m.exec(readFileSync('fixtures/refstream.service', 'utf8')) ?? []

t.test('rules are read again by all workers, and at no moment is all or nothing allowed', async (t) => {
  const root = tempDir(t)
  for (const name of ['always', 'never', 'some']) makeRepository(root, `${name}.git`)
  const file = join(tempDir(t), 'rules')
  /** Replaces the file in one step, and has it read as systemd does. */
  const write = (text: string): void => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  }
  write('always=read:anyone')
  const sidecar = await startSidecar(t, root, {
    args: ['--workers', '2', '--access-file', file, '--export-all'],
  })
  const reloadAll = (): void => {
    execFileSync('/bin/sh', ['-c', reload], { env: { MAINPID: String(sidecar.pid) } })
  }
  const count = (result: string): Promise<number> =>
    sidecar.metric('refstream_reloads_total', { what: 'access', result })

  const statuses = { always: new Set<number>(), never: new Set<number>() }
  let isOver = false
  const client = async (name: keyof typeof statuses): Promise<void> => {
    while (!isOver) statuses[name].add(await askAnew(infoRefs(sidecar.url, `${name}.git`)))
  }
  const clients = [client('always'), client('never'), client('always'), client('never')]
  const some = async (): Promise<Set<number>> => {
    const url = infoRefs(sidecar.url, 'some.git')
    return new Set(await Promise.all(Array.from({ length: 20 }, () => askAnew(url))))
  }
  t.same(await some(), new Set([403]))
  const texts = [
    'always=read:anyone\nsome=read:anyone',
    'always=read:anyone',
    'always=read:*+anyone\nsome=read:anyone',
  ]
  for (const text of texts) {
    const before = await count('ok')
    write(text)
    reloadAll()
    await eventually('both workers have read it', async () => (await count('ok')) >= before + 2)
    t.same(await some(), new Set([text.includes('some') ? 200 : 403]), text)
  }
  write('some=write:x')
  reloadAll()
  await eventually('both workers have rejected it', async () => (await count('failed')) >= 2)
  t.ok(
    sidecar.log.some(({ level, what }) => level === 50 && what === 'access'),
    'a line says so',
  )
  t.same(await some(), new Set([200]), 'the rules before it stay in force')
  isOver = true
  await Promise.all(clients)
  t.same(statuses, { always: new Set([200]), never: new Set([403]) })
  t.equal((await ask(`${sidecar.adminUrl}/readyz`)).status, 200)
})
