// What a start costs: node test/bench/start.mjs DIST... ROUNDS [ENTRIES]
// Compares builds in turns: milliseconds from exec to the line `listening`, and to the first right answer from a warm cache
// directory; processor milliseconds until then; memory after 5 seconds at rest; and how long short commands take. The
// cache directory has that many other entries; left out: none.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const given = process.argv.slice(2)
const [rounds, entries = 0] = given.filter((each) => /^\d+$/.test(each)).map(Number)
const builds = given.filter((each) => !/^\d+$/.test(each)).map((build) => resolve(build))
if (!(rounds >= 1) || builds.length === 0) throw new Error('usage: start.mjs DIST... ROUNDS [ENTRIES]')

const refs = 20
const restMs = 5000
const timeoutMs = 20_000
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
const commands = [['--version'], ['hook', 'status', '--help'], ['ready', '--help']]

const directory = mkdtempSync(join(tmpdir(), 'refstream-start-'))
const root = join(directory, 'root')
const git = (...args) =>
  execFileSync('git', ['-C', join(root, 'r.git'), ...args], { encoding: 'utf8', input: '' }).trim()
execFileSync('git', ['init', '--quiet', '--bare', join(root, 'r.git')])
const identity = ['-c', 'user.name=start', '-c', 'user.email=start@example.com']
const commit = git(...identity, 'commit-tree', '-m', 'start', git('mktree'))
for (let ref = 0; ref < refs; ref++) git('update-ref', `refs/heads/b${ref}`, commit)

/** Returns a port that is free now. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

/** Resolves with a whole answer; undefined: nothing listens yet. */
const ask = (port) =>
  new Promise((resolve, reject) => {
    const path = '/r.git/info/refs?service=git-upload-pack'
    get({ host: '127.0.0.1', port, path, agent: false }, async (response) => {
      const body = Buffer.concat(await response.toArray()).toString()
      if (response.statusCode === 200 && body.split(commit).length > refs) resolve(body)
      else reject(new Error(`a wrong answer: ${response.statusCode} ${body}`))
    }).once('error', () => resolve(undefined))
  })

/** Returns a number of kibibytes in a file of /proc. */
const kibibytes = (path, name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(path, 'utf8'))[1])

const cacheOf = (build) => join(directory, `cache-${builds.indexOf(build)}`)

const { encodeMetadata } = await import(`${builds[0]}/streamcache/disk/metadata.js`)

/** Lays down entries as an earlier process has committed them. */
function layDownEntries(cache) {
  const folder = join(cache, 'instance-0', 'entries')
  mkdirSync(folder, { recursive: true })
  const body = Buffer.alloc(200, 'x')
  const sha256 = createHash('sha256').update(body).digest('hex')
  for (let entry = 0; entry < entries; entry++) {
    const fields = {
      key: `key ${entry}`,
      token: 'token',
      length: body.length,
      sha256,
      committedAt: Date.now(),
    }
    const path = join(folder, `${createHash('sha256').update(fields.key).digest('hex')}.${randomUUID()}`)
    writeFileSync(`${path}.meta`, encodeMetadata(fields))
    writeFileSync(path, body)
  }
}

async function start(build, rest) {
  const [port, admin] = [await freePort(), await freePort()]
  const cache = cacheOf(build)
  const flags = ['--root', root, '--export-all', '--cache-dir', cache]
  if (entries > 0) flags.push('--cache-max-entries', String(2 * entries))
  const listen = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`]
  const began = performance.now()
  const program = [`${build}/cli/refstream.cjs`, 'serve', ...flags, ...listen]
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] })
  let listening
  child.stdout.on('data', (text) => {
    if (String(text).includes('"listening"')) listening ??= performance.now() - began
  })
  try {
    while (!(await ask(port))) {
      if (child.exitCode !== null || performance.now() - began > timeoutMs)
        throw new Error(`${build} does not start`)
      await sleep(1)
    }
    const first = performance.now() - began
    // Fields 14 and 15 of proc_pid_stat(5), after the name, which may have blanks.
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
    const cpu = ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
    if (!rest) return undefined
    await sleep(restMs)
    const rss = kibibytes(`/proc/${child.pid}/status`, 'VmRSS') / 1024
    const pss = kibibytes(`/proc/${child.pid}/smaps_rollup`, 'Pss') / 1024
    return { listening, first, cpu, rss, pss }
  } finally {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
}

function commandMs(build, args) {
  const began = performance.now()
  const { status } = spawnSync(process.execPath, [`${build}/cli/refstream.cjs`, ...args])
  if (status !== 0) throw new Error(`${build}: refstream ${args.join(' ')} ends with ${status}`)
  return performance.now() - began
}

const figures = builds.map(() => [])
try {
  // The first start fills the cache directory.
  for (const build of builds) {
    layDownEntries(cacheOf(build))
    await start(build, false)
  }
  for (let round = 0; round < rounds; round++)
    for (const [index, build] of builds.entries()) {
      const took = Object.fromEntries(commands.map((args) => [args.join(' '), commandMs(build, args)]))
      figures[index].push({ ...(await start(build, true)), ...took })
    }
} finally {
  rmSync(directory, { recursive: true, force: true })
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
for (const [index, build] of builds.entries()) {
  const names = Object.keys(figures[index][0])
  const row = names.map((name) => [name, Number(median(figures[index].map((each) => each[name])).toFixed(1))])
  console.log(JSON.stringify({ build, node: process.version, rounds, ...Object.fromEntries(row) }))
}
