// A ref that is changed under leases, with a record of its values from which follows which of them an answer may show.
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { hrtime } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { root } from './rig.mjs'

const run = promisify(execFile)

/** Milliseconds, by a clock that all processes of this machine share. */
export const now = () => Number(hrtime.bigint()) / 1e6

/** One request to the lease API of a server. */
export async function leaseApi({ adminUrl }, method, path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(adminUrl + path, { method, headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.status === 204 ? undefined : response.json()
}

export class Marker {
  ref = 'refs/heads/a-marker'
  #name
  #commits
  /** When each value began and ended to be written. */
  #writes

  /** In a repository below the root, by its name. */
  constructor(name) {
    this.#name = name
    const git = (...args) =>
      execFileSync('git', args, { cwd: join(root, name), input: '' })
        .toString()
        .trim()
    const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
    const identity = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
    this.#commits = Array.from({ length: 200 }, (_, index) =>
      git(...identity, 'commit-tree', tree, '-m', String(index)),
    )
    git('update-ref', this.ref, this.#commits[0])
    this.#writes = [{ start: -Infinity, end: -Infinity, value: this.#commits[0] }]
  }

  get changes() {
    return this.#writes.length - 1
  }

  /** Forgets all changes but the last. */
  clear() {
    this.#writes = this.#writes.slice(-1)
  }

  /** Gives the ref its next value, under a lease that stays open for some milliseconds after that. */
  async change(server, staysMs = 0) {
    const next = (this.#commits.indexOf(this.#writes.at(-1).value) + 1) % this.#commits.length
    const write = { start: now(), end: Infinity, value: this.#commits[next] }
    this.#writes.push(write)
    const { id } = await leaseApi(server, 'POST', '/v1/leases', { repository: this.#name, ttlSeconds: 30 })
    await run('git', ['-C', join(root, this.#name), 'update-ref', this.ref, write.value])
    await sleep(staysMs)
    await leaseApi(server, 'DELETE', `/v1/leases/${id}`, { changed: true })
    write.end = now()
  }

  /** Was the value in place at no moment between request and answer? */
  isStale({ start: asked, end: answered, value: seen }) {
    const oldest = this.#writes.findLastIndex(({ end }) => end < asked)
    return !this.#writes.some(
      ({ start, value }, version) => version >= oldest && start < answered && value === seen,
    )
  }
}
