import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { lstat, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fse from 'fs-extra'

const maxInstances = 64
/** How long a rival for a slot that neither wins nor withdraws is waited for (it may be stopped), in milliseconds. */
const rivalMs = 2000
/** sockaddr_un takes 108 bytes on Linux and 104 elsewhere (unix(7), unix(4)), among them a NUL. */
const maxSocketPath = 103
const claimName = /^[0-9a-f]{16}$/

/**
 * One process's own part of a cache directory: `instance-0/`, `instance-1/` …, the first that nobody else has. So a restart
 * finds its old entries, and a second process on the same directory gets a place of its own.
 *
 * Node has no flock(2), so a slot is held by a socket that listens in it, as `claims/<random>`. The kernel closes it
 * with its process, however that ends: what answers is held, what refuses is a dead one's. No process id is compared,
 * and it works between containers that share the volume on one machine, whatever their namespaces.
 *
 * Why two never hold one slot. A claim listens under a private name first, and is visible (by a rename) only then. So
 * a visible claim that refuses will never answer again and may be removed by anybody. Each claims first and looks at
 * the other claims afterwards; of two, the one that looks last sees the other. Who sees another's claim withdraws, or
 * waits if its own name is the smaller, until the other withdraws or has put `<random>.held` beside its claim.
 *
 * What it does not cover: machines that share a network filesystem (a foreign socket refuses), and filesystems without
 * sockets, on which nothing is stored.
 */
export class InstanceDirectory {
  readonly number: number
  readonly directory: string
  readonly #claim: Claim

  private constructor(number: number, directory: string, claim: Claim) {
    this.number = number
    this.directory = directory
    this.#claim = claim
  }

  /** Takes the first free slot. @throws if none can be taken: the directory cannot be used, or 64 processes use it */
  static async take(cacheDirectory: string): Promise<InstanceDirectory> {
    for (let number = 0; number < maxInstances; number++) {
      const directory = join(cacheDirectory, `instance-${number}`)
      const claim = await Claim.make(join(directory, 'claims'))
      let won = false
      try {
        won = await claim.wins()
      } finally {
        if (!won) await claim.withdraw()
      }
      if (won) return new InstanceDirectory(number, directory, claim)
    }
    throw new Error(`${maxInstances} processes use ${cacheDirectory}`)
  }

  /** false: somebody has removed the directory, so that another process may hold this slot now. */
  stands(): Promise<boolean> {
    return this.#claim.stands()
  }

  /** Leaves it to the next process. */
  release(): Promise<void> {
    return this.#claim.withdraw()
  }
}

class Claim {
  readonly #directory: string
  readonly #name: string
  readonly #server: Server

  private constructor(directory: string, name: string, server: Server) {
    this.#directory = directory
    this.#name = name
    this.#server = server
  }

  static async make(directory: string): Promise<Claim> {
    await fse.ensureDir(directory, 0o700)
    const name = randomBytes(8).toString('hex')
    const server = createServer((socket) => socket.destroy()).unref()
    const claim = new Claim(directory, name, server)
    try {
      await withSocketPath(directory, `${name}.new`, async (path) => {
        // Else a cluster's primary would listen, for all its workers at once.
        server.listen({ path, exclusive: true })
        await once(server, 'listening')
      })
      // accept() fails when descriptors run out; the claim stands all the same.
      server.on('error', () => {})
      await rename(join(directory, `${name}.new`), join(directory, name))
      return claim
    } catch (error) {
      await claim.withdraw()
      throw error
    }
  }

  async wins(): Promise<boolean> {
    for (const deadline = performance.now() + rivalMs; ; await sleep(5)) {
      const rivals = await this.#rivals()
      if (rivals.length === 0) break
      const decided = rivals.some(({ name, held }) => held || name < this.#name)
      if (decided || performance.now() > deadline) return false
    }
    await writeFile(join(this.#directory, `${this.#name}.held`), '')
    return true
  }

  /** The claims of others that live; those of the dead are removed. */
  async #rivals(): Promise<{ name: string; held: boolean }[]> {
    const rivals = []
    for (const name of await readdir(this.#directory)) {
      if (!claimName.test(name) || name === this.#name) continue
      if (await withSocketPath(this.#directory, name, answers)) {
        rivals.push({ name, held: await exists(join(this.#directory, `${name}.held`)) })
      } else await remove(this.#directory, name)
    }
    return rivals
  }

  stands(): Promise<boolean> {
    return exists(join(this.#directory, this.#name))
  }

  async withdraw(): Promise<void> {
    await remove(this.#directory, this.#name).catch(() => {})
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }
}

async function remove(directory: string, name: string): Promise<void> {
  for (const path of [name, `${name}.held`]) {
    await rm(join(directory, path), { force: true, recursive: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  )
}

/** Does somebody listen there? A socket whose queue is full is held as well (EAGAIN). */
async function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    return !['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')
  } finally {
    socket.destroy()
  }
}

/** Uses a socket by a path that is short enough: on Linux, a directory that is open has one whatever its name is. */
async function withSocketPath<T>(
  directory: string,
  name: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(directory, name)
  if (Buffer.byteLength(path) <= maxSocketPath) return use(path)
  const handle = await open(directory)
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`)
  } finally {
    await handle.close()
  }
}
