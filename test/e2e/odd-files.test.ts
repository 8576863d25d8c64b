import t from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { hasMkfifo, makeFifo, oddFiles } from '../support/odd-files.js'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { bodiesIn } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const skip = !hasMkfifo && 'no mkfifo'

t.test('with odd files in its directories, a sidecar starts, answers and stores', async (t) => {
  for (const [name, make] of Object.entries(oddFiles)) {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const cacheDir = join(tempDir(t), 'cache')
    for (const part of ['leases', 'entries', 'temp', 'claims']) {
      const directory = join(cacheDir, 'instance-0', part)
      mkdirSync(directory, { recursive: true })
      await make(join(directory, '0123456789abcdef'))
      if (part !== 'entries') continue
      await make(join(directory, '0123456789abcdef.meta'))
      await make(join(directory, 'without-body.meta'))
      writeFileSync(join(directory, 'with-odd-metadata'), '')
      await make(join(directory, 'with-odd-metadata.meta'))
    }
    const sidecar = await startSidecar(t, root, { cacheDir })
    t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200, name)
    await eventually(`${name}: it is stored`, async () => {
      await ask(infoRefs(sidecar.url, 'r.git'))
      return (await sidecar.metric('refstream_store_entries')) === 1
    })
    t.equal(await sidecar.stop(), 0)
  }
})

/** Runs `refstream serve` until it ends. */
async function refused(root: string, ...args: string[]): Promise<{ code: number; stderr: string }> {
  const listen = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const child = spawn(process.execPath, [program, 'serve', '--root', root, ...listen, ...args], {
    env: cleanEnvironment,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const [code] = (await once(child, 'close')) as [number]
  return { code, stderr }
}

t.test('a pipe without a writer is refused for every setting that names a file', { skip }, async (t) => {
  const pipe = join(tempDir(t), 'pipe')
  makeFifo(pipe)
  const tls = ['--tls-cert', pipe, '--tls-key', pipe]
  const settings = [
    ...[
      ['--config', pipe],
      ['--auth-tokens', pipe],
      ['--auth-htpasswd', pipe],
      ['--admin-token-file', pipe],
    ],
    ...[['--webhook-secret-file', pipe], tls],
  ]
  const answers = settings.map(async (args) => {
    const { code, stderr } = await refused(tempDir(t), ...args)
    t.equal(code, 2, args.join(' '))
    t.match(stderr, /it is a pipe to which nothing is written/, args.join(' '))
    t.match(stderr, pipe)
  })
  await Promise.all(answers)
})

t.test(
  'a file that becomes a pipe while it is watched: what was read stays in force',
  { skip },
  async (t) => {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const tokens = join(tempDir(t), 'tokens')
    writeFileSync(tokens, `ci:${'0'.repeat(64)}\n`)
    const sidecar = await startSidecar(t, root, { args: ['--auth-tokens', tokens] })
    rmSync(tokens)
    makeFifo(tokens)
    process.kill(sidecar.pid, 'SIGHUP')
    await eventually('the failed reload is counted', async () => {
      return (await sidecar.metric('refstream_reloads_total', { result: 'failed' })) > 0
    })
    t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 401, 'and it still answers')
  },
)

t.test('a stored entry whose file becomes a pipe is filled again', { skip }, async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root, { args: ['--hot-max-bytes', '0'] })
  const url = infoRefs(sidecar.url, 'r.git')
  await eventually('it is stored', async () => {
    await ask(url)
    return bodiesIn(sidecar.cacheDir).length === 1
  })
  const path = bodiesIn(sidecar.cacheDir)[0]!
  makeFifo(`${path}.pipe`)
  renameSync(`${path}.pipe`, path)
  t.equal((await ask(url)).status, 200)
  t.equal(await sidecar.metric('refstream_store_discarded_total', { reason: 'corrupt' }), 1)
})

const bash = spawnSync('bash', ['-c', 'exit']).error === undefined

t.test('a configuration from a shell’s <(...) is read', { skip: !bash && 'no bash' }, async (t) => {
  const script = `exec "$0" "$1" config check <(sleep 0.1; echo 'root = "${tempDir(t)}"')`
  const child = spawn('bash', ['-c', script, process.execPath, program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.same(await once(child, 'close'), [0, null])
})
