import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'

/** A repository of the server. All who may read it see its refs; each of them sees one more that is its own. */
export interface Permitted {
  /** Names of users; `anyone` is everybody. */
  readonly readers: readonly string[]
  /** What it has: another text means other commits. */
  readonly content: string
  /** Its path now, if it was renamed: info/refs is redirected there. */
  readonly movedTo?: string
}

/** All that decides the answers at one moment. */
export interface Permissions {
  /** Values of Authorization, and whose they are. */
  readonly users: Readonly<Record<string, string>>
  readonly repositories: Readonly<Record<string, Permitted>>
}

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export const challenges = ['Basic realm="permissions"', 'Bearer realm="permissions", error="none"']

/** The id of what a ref of a repository points to. */
export const oidOf = (content: string, ref: string): string =>
  createHash('sha1').update(`${content} ${ref}`).digest('hex')

/** What a client with these credentials is told: a status, or the refs of the repository. */
export function truth(
  { users, repositories }: Permissions,
  authorization: string | undefined,
  path: string,
): 401 | 404 | Readonly<Record<string, string>> {
  const user = authorization === undefined ? undefined : users[authorization]
  if (authorization !== undefined && user === undefined) return 401
  const { movedTo } = repositories[path] ?? {}
  const repository = repositories[movedTo ?? path]
  const may = repository?.readers.some((reader) => reader === 'anyone' || reader === user)
  if (!repository || !may) return user === undefined ? 401 : 404
  const names = ['HEAD', 'refs/heads/main', ...(user === undefined ? [] : [`refs/users/${user}`])]
  return Object.fromEntries(
    names.map((name) => [name, oidOf(repository.content, name === 'HEAD' ? 'refs/heads/main' : name)]),
  )
}

/** A Git server in miniature: every answer is decided by permissions that may change at any moment. */
export class PermissionServer {
  readonly requests: SeenRequest[] = []
  /** The permissions so far, with the time of performance.now() from which they held. */
  readonly past: { readonly from: number; readonly permissions: Permissions }[] = []
  /** Breaks off every connection. */
  isAway = false
  /** Do all see the same refs? */
  readonly showsAllTheSame: boolean
  /** Awaited before an answer is sent, after it was decided. */
  beforeAnswer: (request: SeenRequest) => Promise<void> | void = () => {}
  url = ''

  constructor(permissions: Permissions, showsAllTheSame = false) {
    this.permissions = permissions
    this.showsAllTheSame = showsAllTheSame
  }

  get permissions(): Permissions {
    return this.past.at(-1)!.permissions
  }

  set permissions(permissions: Permissions) {
    this.past.push({ from: performance.now(), permissions })
  }

  /** Changes a repository; undefined: deletes it. */
  change(path: string, change: Partial<Permitted> | undefined): void {
    const { users, repositories } = this.permissions
    const { [path]: before, ...others } = repositories
    this.permissions = {
      users,
      repositories: change
        ? { ...others, [path]: { readers: [], content: '', ...before, ...change } }
        : others,
    }
  }

  revoke(authorization: string): void {
    const { users, repositories } = this.permissions
    const others = Object.entries(users).filter(([value]) => value !== authorization)
    this.permissions = { users: Object.fromEntries(others), repositories }
  }

  /** Returns what the server would have told this client at some moment between two. */
  truths(
    authorization: string | undefined,
    path: string,
    from: number,
    to: number,
  ): ReturnType<typeof truth>[] {
    return this.#between(from, to).map((permissions) => this.#truth(permissions, authorization, path))
  }

  /** Returns what all who may read a repository were shown at some moment between two. */
  contents(path: string, from: number, to: number): Readonly<Record<string, string>>[] {
    return this.#between(from, to).flatMap(({ repositories }) => {
      const opened = { ...repositories[path]!, readers: ['anyone'] }
      const shown =
        repositories[path] && truth({ users: {}, repositories: { [path]: opened } }, undefined, path)
      return typeof shown === 'object' ? [shown] : []
    })
  }

  #between(from: number, to: number): Permissions[] {
    return this.past
      .filter(({ from: began }, index) => began <= to && (this.past[index + 1]?.from ?? Infinity) >= from)
      .map(({ permissions }) => permissions)
  }

  #truth(
    permissions: Permissions,
    authorization: string | undefined,
    path: string,
  ): ReturnType<typeof truth> {
    const refs = truth(permissions, authorization, path)
    if (typeof refs === 'number' || !this.showsAllTheSame) return refs
    return Object.fromEntries(Object.entries(refs).filter(([name]) => !name.startsWith('refs/users/')))
  }

  async start(t: Test): Promise<this> {
    const server = createServer((request, response) => void this.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.close()
      server.closeAllConnections()
    })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return this
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', url = '', headers, rawHeaders } = request
    const seen = { method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString('latin1') }
    this.requests.push(seen)
    if (this.isAway) return void request.socket.destroy()
    const answer = this.#decide(seen)
    await this.beforeAnswer(seen)
    response.writeHead(answer.status, answer.headers).end(answer.body)
  }

  #decide({ url, headers, body }: SeenRequest): { status: number; headers: string[]; body: Buffer | string } {
    const [, name = '', resource = '', service] =
      /^\/(.*?)(?:\.git)?\/(info\/refs|git-upload-pack|HEAD)(?:\?service=(.*))?$/.exec(url) ?? []
    const path = decodeURIComponent(name).toLowerCase()
    const moved = this.permissions.repositories[path]?.movedTo
    const refs = this.#truth(this.permissions, headers.authorization, path)
    if (refs === 401)
      return { status: 401, headers: challenges.flatMap((each) => ['WWW-Authenticate', each]), body: 'who?' }
    if (refs === 404) return { status: 404, headers: [], body: 'none' }
    if (moved !== undefined)
      return { status: 301, headers: ['Location', `/${moved}/${resource}?service=${service}`], body: '' }
    if (resource === 'HEAD') return { status: 200, headers: [], body: JSON.stringify(refs) }
    if (resource === 'info/refs') {
      const type = ['Content-Type', `application/x-${service}-advertisement`]
      return { status: 200, headers: type, body: advertisement(refs, headers['git-protocol']) }
    }
    const type = ['Content-Type', 'application/x-git-upload-pack-result']
    return { status: 200, headers: type, body: answerTo(refs, body) }
  }
}

function advertisement(
  refs: Readonly<Record<string, string>>,
  protocol: string | string[] | undefined,
): Buffer {
  const service = [pktLine('# service=git-upload-pack\n'), flushPacket]
  const lines =
    protocol === 'version=2'
      ? ['version 2\n', 'agent=permissions\n', 'ls-refs=unborn\n', 'fetch=shallow\n', 'object-format=sha1\n']
      : Object.entries(refs).map(
          ([name, oid], index) => `${oid} ${name}${index === 0 ? '\0side-band-64k agent=permissions' : ''}\n`,
        )
  return Buffer.concat([...service, ...lines.map((line) => pktLine(line)), flushPacket])
}

function answerTo(refs: Readonly<Record<string, string>>, body: string): Buffer {
  if (body.includes('command=ls-refs')) {
    const prefixes = [...body.matchAll(/ref-prefix (.*)\n/g)].map(([, prefix]) => prefix!)
    const shown = Object.entries(refs).filter(
      ([name]) => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix)),
    )
    const lines = shown.map(([name, oid]) => `${oid} ${name}\n`)
    return Buffer.concat([...lines.map((line) => pktLine(line)), flushPacket])
  }
  const wants = [...body.matchAll(/want ([0-9a-f]{40})/g)].map(([, oid]) => oid!)
  const unknown = wants.find((oid) => !Object.values(refs).includes(oid))
  if (unknown !== undefined) return pktLine(`ERR upload-pack: not our ref ${unknown}`)
  return Buffer.concat([pktLine('packfile\n'), pktLine(`\x01PACK of ${wants.join(' ')}`), flushPacket])
}
