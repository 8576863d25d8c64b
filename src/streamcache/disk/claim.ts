import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { lstat, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Longest wait in milliseconds for a rival that neither wins nor withdraws; its process may be suspended. */
const rivalMs = 2000
/** sockaddr_un holds 108 bytes on Linux and 104 elsewhere (unix(7), unix(4)), a NUL among them. */
const maxSocketPath = 103
const claimName = /^[0-9a-f]{16}$/

/**
 * A process's claim to a directory: a lock among the processes of one machine.
 *
 * Node has no flock(2), so the lock is a socket that listens in the directory, under a random name. The kernel closes
 * it with its process, however that ends: a claim that accepts connections is held, one that refuses them belongs to a
 * dead process. No process id is compared, so this works between containers that share the volume on one machine,
 * whatever their namespaces.
 *
 * Why two processes never hold one directory. A claim listens under a private name first, and becomes visible (by a
 * rename) only then. So a visible claim that refuses connections will never accept any again, and any process may remove
 * it. Each process makes its claim first and lists the other claims afterwards: of two, the one that lists last sees the
 * other. A process that sees another claim withdraws, or, if its own name is the smaller, waits until the other has
 * withdrawn or has put `<name>.held` beside its claim.
 *
 * Not covered: machines that share a network filesystem (a socket of another machine refuses connections), and
 * filesystems without sockets, on which nothing is stored.
 */
export class Claim {
  readonly #directory: string
  readonly #name: string
  readonly #server: Server

  private constructor(directory: string, name: string, server: Server) {
    this.#directory = directory
    this.#name = name
    this.#server = server
  }

  /** Makes a visible claim; creates the directory if it does not exist. @throws the system's error */
  static async make(directory: string): Promise<Claim> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const name = randomBytes(8).toString('hex')
    const server = createServer((socket) => socket.destroy()).unref()
    const claim = new Claim(directory, name, server)
    try {
      await withSocketPath(directory, `${name}.new`, async (path) => {
        // Without `exclusive`, a cluster's primary would listen on behalf of all its workers.
        server.listen({ path, exclusive: true })
        await once(server, 'listening')
      })
      // accept() fails when there are no descriptors left; the claim is valid all the same.
      server.on('error', () => {})
      await rename(join(directory, `${name}.new`), join(directory, name))
      return claim
    } catch (error) {
      await claim.withdraw()
      throw error
    }
  }

  /** Resolves when it is decided: true: this process holds the directory; false: the claim must be withdrawn. */
  async wins(): Promise<boolean> {
    for (const deadline = performance.now() + rivalMs; ; await sleep(5)) {
      const rivals = await this.#rivals()
      if (rivals.length === 0) break
      const lost = rivals.some(({ name, held }) => held || name < this.#name)
      if (lost || performance.now() > deadline) return false
    }
    await writeFile(join(this.#directory, `${this.#name}.held`), '')
    return true
  }

  /** Lists the other claims of living processes, and removes those of dead ones. */
  async #rivals(): Promise<{ name: string; held: boolean }[]> {
    const rivals = []
    for (const name of await readdir(this.#directory)) {
      if (!claimName.test(name) || name === this.#name) continue
      if (await withSocketPath(this.#directory, name, acceptsConnections)) {
        rivals.push({ name, held: await exists(join(this.#directory, `${name}.held`)) })
      } else await remove(this.#directory, name)
    }
    return rivals
  }

  /** Is it still visible? If the directory was removed, another process may hold a new one of the same name. */
  exists(): Promise<boolean> {
    return exists(join(this.#directory, this.#name))
  }

  /** Removes the claim. Never rejects. */
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

/** Does a process listen there? A socket whose backlog is full (EAGAIN) counts as well. */
async function acceptsConnections(path: string): Promise<boolean> {
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

/** Uses a socket by a path that is short enough: on Linux, an open directory has a short one in /proc. */
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
