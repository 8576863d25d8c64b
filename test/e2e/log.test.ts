import t, { type Test } from 'tap'
import { spawn, spawnSync, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts `refstream serve` with its standard output going there. */
async function serve(t: Test, stdout: number | 'pipe', ...args: string[]) {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const [port, admin] = [await freePort(), await freePort()]
  const where = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`]
  const stdio: StdioOptions = ['ignore', stdout, 'pipe']
  const child = spawn(
    process.execPath,
    [program, 'serve', '--root', root, '--cache-dir', join(root, 'cache'), ...where, ...args],
    { env: cleanEnvironment, stdio },
  )
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>
  const metrics = async (): Promise<string> =>
    (await ask(`http://127.0.0.1:${admin}/metrics`).catch(() => undefined))?.body.toString() ?? ''
  const up = () => eventually('it listens', async () => (await metrics()) !== '')
  const request = async (): Promise<number> =>
    (await ask(infoRefs(`http://127.0.0.1:${port}`, 'r.git'))).status
  const dropped = async (): Promise<number> =>
    Number(/^refstream_log_lines_dropped_total (\d+)$/m.exec(await metrics())?.[1])
  const stop = async () => {
    child.kill('SIGTERM')
    const [code] = await ended
    return { code, stderr }
  }
  /** Sends requests until the memory for log lines is full. */
  const flood = async (): Promise<void> => {
    do {
      const statuses = await Promise.all(Array.from({ length: 100 }, request))
      if (statuses.some((status) => status !== 200)) throw new Error('not answered')
    } while ((await dropped()) === 0)
  }
  return { child, up, request, flood, stop }
}

t.test('a full disk under standard output does not stop requests', async (t) => {
  const fd = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(fd))
  const { up, flood, stop } = await serve(t, fd, '--log-level', 'debug')
  await up()
  await flood()
  t.same(await stop(), { code: 0, stderr: '' })
})

t.test('a pipe that is not read stops neither requests nor the exit', async (t) => {
  const { child, flood, stop } = await serve(t, 'pipe', '--log-level', 'debug')
  const lines = createInterface(child.stdout!)
  for await (const line of lines) if (line.includes('"listening"')) break
  child.stdout!.pause()
  await flood()
  t.same(await stop(), { code: 0, stderr: '' })
})

t.test('a pipe whose reader has exited does not stop requests', async (t) => {
  const { child, up, request, stop } = await serve(t, 'pipe', '--log-level', 'debug')
  child.stdout!.destroy()
  await up()
  t.equal(await request(), 200)
  t.same(await stop(), { code: 0, stderr: '' })
})

t.test('a stopped terminal does not stop requests', async (t) => {
  // script(1) gives the program a terminal; while script is stopped, nothing reads from it.
  if (spawnSync('script', ['--version']).status !== 0) {
    t.pass('there is no script(1)', { skip: true })
    return
  }
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const [port, admin] = [await freePort(), await freePort()]
  const pidFile = join(root, 'pid')
  const command = [
    ...[`echo $$ > ${pidFile}; exec ${process.execPath} ${program} serve --root ${root}`],
    ...[`--cache-dir ${root}/cache --listen 127.0.0.1:${port} --admin 127.0.0.1:${admin} --log-level debug`],
  ].join(' ')
  const script = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...cleanEnvironment, SHELL: '/bin/sh' },
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  t.teardown(() => script.kill('SIGKILL'))
  await eventually('the sidecar runs', () => existsSync(pidFile))
  const url = infoRefs(`http://127.0.0.1:${port}`, 'r.git')
  await eventually('it listens', async () => (await ask(url).catch(() => undefined))?.status === 200)
  script.kill('SIGSTOP')
  for (let count = 0; count < 1000; count++) if ((await ask(url)).status !== 200) t.fail('not answered')
  const pid = readFileSync(pidFile, 'utf8').trim()
  process.kill(Number(pid), 'SIGTERM')
  // script, which is stopped, has not reaped it: it stays a zombie.
  const state = () => spawnSync('ps', ['-o', 'stat=', '-p', pid]).stdout.toString().trim()
  await eventually('it ends', () => /^(Z.*)?$/.test(state()))
  script.kill('SIGCONT')
})

t.test('other commands exit silently when their reader has exited, and report other errors', async (t) => {
  const root = tempDir(t)
  for (let index = 0; index < 20; index++) makeRepository(root, `${index}.git`)
  const commands = [['doctor', '--root', root, '--admin', '127.0.0.1:9'], ['--help'], ['serve', '--help']]
  for (const args of commands) {
    const run = async (stdout: 'pipe' | number) => {
      const child = spawn(process.execPath, [program, ...args], {
        env: cleanEnvironment,
        stdio: ['ignore', stdout, 'pipe'],
      })
      child.stdout?.destroy()
      let stderr = ''
      child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      const [code] = (await once(child, 'close')) as [number]
      return { code, stderr }
    }
    t.same(await run('pipe'), { code: 0, stderr: '' }, args.join(' '))
    const fd = openSync('/dev/full', 'w')
    const { code, stderr } = await run(fd)
    closeSync(fd)
    t.equal(code, 1)
    t.match(stderr, /^refstream: standard output: ENOSPC[^\n]*\n$/)
  }
})
