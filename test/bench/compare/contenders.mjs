// The contenders, each with its configuration from contenders/ on a port of its own, all over the same root and
// with the same Git, which counts its processes.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { directory, root } from '../rig.mjs'
import { Account } from './account.mjs'
import { loopback, network } from './network.mjs'
import { isThere } from './packages.mjs'
import { freePort, listening } from './ports.mjs'
import { files, writeRequests } from './requests.mjs'
import { countingGit, countingHttpBackend, load } from './tools.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const templates = here('../contenders/')
const ownCli = here('../../../dist/cli/refstream.cjs')

/** Writes all configurations to a directory, with these values in the place of @NAME@. */
function configure(place, values) {
  for (const name of readdirSync(templates)) {
    const text = readFileSync(join(templates, name), 'utf8')
    writeFileSync(
      join(place, name),
      text.replace(/@([A-Z_]+)@/g, (whole, key) => values[key] ?? whole),
    )
  }
}

function startNginx(account, place, file) {
  // Its workers read a directory that is ours alone.
  const user = process.getuid() === 0 ? 'user root;' : ''
  return account.spawn('nginx', ['-p', place, '-c', join(place, file), '-g', `daemon off; ${user}`])
}

/** As many Git processes at once as refstream has by default; two cores are busy with far fewer. */
async function startFcgiwrap(account, socket) {
  rmSync(socket, { force: true })
  const child = account.spawn('fcgiwrap', ['-c', '16', '-s', `unix:${socket}`])
  await listening({ path: socket }, child)
}

async function startGitBehindNginx(account, place, file, port, host = network().address) {
  await startFcgiwrap(account, join(place, 'fcgi.sock'))
  await listening({ port, host }, startNginx(account, place, file))
}

/** In another network namespace, this process reaches no server. */
async function banFromClient(port, path) {
  const requests = writeRequests('ban', `BAN ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`)
  const { answers } = await load('first', { port, requests, timeout: 10 })
  if (answers[0]?.status !== 200) throw new Error(`BAN: ${JSON.stringify(answers)}`)
}

/** name → how it starts in a place with a port, and how a change of refs is announced to it. */
const definitions = {
  nginx: {
    needs: ['nginx', 'fcgiwrap'],
    isPlainGit: true,
    start: ({ account, place, port }) => startGitBehindNginx(account, place, 'nginx.conf', port),
  },
  'nginx cache': {
    needs: ['nginx', 'fcgiwrap'],
    start: ({ account, place, port }) => startGitBehindNginx(account, place, 'nginx-cache.conf', port),
    invalidation: 'delete the entries’ files',
    invalidate({ place }, repository) {
      for (const protocol of ['', 'version=2']) {
        const key = `/${repository.name}/info/refs?service=git-upload-pack ${protocol}`
        const name = createHash('md5').update(key).digest('hex')
        rmSync(join(place, 'cache', name.at(-1), name.slice(-3, -1), name), { force: true })
      }
    },
  },
  varnish: {
    needs: ['varnishd', 'nginx', 'fcgiwrap'],
    async start({ account, place, port, backend }) {
      await startGitBehindNginx(account, place, 'nginx.conf', backend, '127.0.0.1')
      const args = ['-F', '-n', join(place, 'varnish'), '-f', join(place, 'varnish.vcl')]
      // Threads enough for slow clients, and enough from the start for a storm. -j none: it changes to no other user.
      const settings = ['thread_pool_min=200', 'thread_pool_max=5000', 'http_gzip_support=off']
      const child = account.spawn('varnishd', [
        ...[...args, '-j', 'none', '-a', `${network().address}:${port}`, '-s', 'malloc,4G'],
        ...settings.flatMap((setting) => ['-p', setting]),
      ])
      await listening({ port, host: network().address }, child)
    },
    invalidation: 'BAN by URL',
    async invalidate({ port, url }, repository) {
      const path = `/${repository.name}/info/refs?service=git-upload-pack`
      if (network() !== loopback) return banFromClient(port, path)
      const target = `${url}${path}`
      const response = await fetch(target, { method: 'BAN' })
      if (!response.ok) throw new Error(`BAN: ${response.status}`)
    },
  },
  refstream: {
    needs: [],
    async start({ account, place, port, nodeFlags = [], cli = ownCli, flags = [] }) {
      const args = ['serve', '--config', join(place, 'refstream.toml'), '--root', root, '--git', countingGit]
      const where = ['--listen', `${network().address}:${port}`, '--admin', '127.0.0.1:0']
      const cache = ['--cache-dir', join(place, 'cache')]
      // Another address than loopback's needs a word about access.
      const open = network() === loopback ? [] : ['--insecure-no-auth']
      const child = account.spawn(process.execPath, [
        ...nodeFlags,
        cli,
        ...args,
        ...where,
        ...cache,
        ...open,
        ...flags,
      ])
      await listening({ port, host: network().address }, child)
    },
    invalidation: 'none is needed',
  },
}

/** Those that serve packs; others, like Varnish, pass them to Git as plain nginx does. */
const packs = {
  nginx: definitions.nginx,
  'nginx pack cache': {
    needs: ['nginx', 'fcgiwrap'],
    start: ({ account, place, port }) => startGitBehindNginx(account, place, 'nginx-pack-cache.conf', port),
  },
  'refstream --no-packs': {
    needs: ['--no-packs'],
    start: (setup) => definitions.refstream.start({ ...setup, flags: ['--no-packs'] }),
  },
  refstream: definitions.refstream,
}

/** Those of the push storm: what splices are worth, and the server that shares fills too. */
const pushes = {
  varnish: definitions.varnish,
  'refstream --splice off': {
    ...definitions.refstream,
    start: (setup) => definitions.refstream.start({ ...setup, flags: ['--splice', 'off'] }),
  },
  refstream: definitions.refstream,
}

/** How many workers refstream has. */
const workers = Object.fromEntries(
  [1, 2].map((count) => {
    const flags = ['--workers', String(count)]
    const start = (setup) => definitions.refstream.start({ ...setup, flags })
    return [`refstream, ${count === 1 ? 'one worker' : 'two workers'}`, { ...definitions.refstream, start }]
  }),
)

/** Not contenders: what servers do that have nothing to decide. */
const references = {
  'bare node:http': {
    async start({ account, port }) {
      const host = network().address
      const args = [join(templates, 'bare-node.mjs'), String(port), files, host]
      await listening({ port, host }, account.spawn(process.execPath, args))
    },
  },
  'nginx, static file': {
    needs: ['nginx'],
    async start({ account, place, port }) {
      const host = network().address
      await listening({ port, host }, startNginx(account, place, 'nginx-static.conf'))
    },
  },
}

/** Options of refstream that a contender needs begin with a dash; all else is a program. */
const isMissing = (need) =>
  need.startsWith('-')
    ? !spawnSync(process.execPath, [ownCli, 'serve', '--help'])
        .stdout.toString()
        .includes(need.replace('--no-', '--[no-]'))
    : !isThere(need)

function prepared([name, definition]) {
  const missing = (definition.needs ?? []).filter(isMissing)
  return { name, ...definition, missing }
}
export const contenders = () => Object.entries(definitions).map(prepared)
export const pushContenders = () => Object.entries(pushes).map(prepared)
export const workerContenders = () => Object.entries(workers).map(prepared)
export const packContenders = () => Object.entries(packs).map(prepared)
export const referenceServers = () => Object.entries(references).map(prepared)

/** Starts one with an empty cache, unless `prepare` fills it; after `halt`, `launch` starts it on the same place and port. */
export async function start(contender, options = {}) {
  const place = mkdtempSync(join(directory, 'server-'))
  const [port, backend] = [await freePort(), await freePort()]
  configure(place, {
    ADDRESS: network().address,
    PORT: port,
    GIT_ADDRESS: contender.name === 'varnish' ? '127.0.0.1' : network().address,
    GIT_PORT: contender.name === 'varnish' ? backend : port,
    ROOT: root,
    FILES: files,
    SOCKET: join(place, 'fcgi.sock'),
    GIT_HTTP_BACKEND: countingHttpBackend,
  })
  mkdirSync(join(place, 'cache'))
  options.prepare?.(join(place, 'cache'))
  let account
  const server = {
    ...{ name: contender.name, place, port, url: `http://${network().address}:${port}` },
    cpuSeconds: () => account.cpuSeconds(),
    memoryBytes: () => account.memoryBytes(),
    residentBytes: () => account.residentBytes(),
    writtenBytes: () => account.writtenBytes(),
    pids: () => account.pids(),
    leaderSeconds: () => account.leaderSeconds(),
    leader: () => account.leader(),
    get method() {
      return account.method
    },
    invalidate: async (repository) => contender.invalidate?.(server, repository),
    launch() {
      account = new Account(join(place, 'log'), network().onServer)
      return contender.start({ account, place, port, backend, ...options })
    },
    halt: () => account.close(),
    async stop() {
      await account.close()
      rmSync(place, { recursive: true, force: true })
    },
  }
  try {
    await server.launch()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

/** Names and versions of what is compared. */
export function versions() {
  const version = (command, ...args) => {
    const { stdout, stderr } = spawnSync(command, args)
    return /\d+\.\d[\w.~+-]*/.exec(`${stdout}${stderr}`)?.[0]
  }
  const describe = ['-C', here('.'), 'describe', '--always', '--dirty']
  return {
    refstream: spawnSync('git', describe).stdout.toString().trim(),
    node: process.version,
    git: version('git', '--version'),
    nginx: version('nginx', '-v'),
    fcgiwrap: version('dpkg-query', '-W', '-f', '${Version}', 'fcgiwrap'),
    varnish: version('varnishd', '-V'),
  }
}
