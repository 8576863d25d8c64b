// Pushes to a repository, each to another ref, spread over all branches.
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeRepository } from '../compare/repositories.mjs'
import { cpuSeconds, directory, root } from '../rig.mjs'
import { questionFor } from './asker.mjs'

const run = promisify(execFile)

/** Has the Git that is found the reftable backend? */
export const hasReftable = () =>
  spawnSync('git', ['init', '--quiet', '--bare', '--ref-format=reftable', join(root, 'trial.git')]).status ===
  0

/** A repository of so many refs below the root, and a copy in the other format if that is wanted. */
export function makeRepositories(refs, formats) {
  const made = makeRepository(`files-${refs}.git`, refs)
  return formats.map((format) => {
    if (format === 'files') return { ...made, format }
    const name = `${format}-${refs}.git`
    const path = join(root, name)
    cpSync(made.path, path, { recursive: true })
    execFileSync('git', ['-C', path, 'refs', 'migrate', `--ref-format=${format}`])
    return { ...made, name, path, format }
  })
}

export class Pushes {
  #repository
  #branches
  #made = 0

  constructor(repository) {
    this.#repository = repository
    this.#branches = repository.refs - Math.floor(repository.refs / 3) - 2
  }

  /** Changes the next ref with a process of Git's own; gives its name and value. */
  async next() {
    const { path, commits } = this.#repository
    this.#made++
    const index = (this.#made * 7919) % this.#branches
    const ref = `refs/heads/branch-number-${String(index).padStart(7, '0')}`
    // Branches begin with the value of the same number.
    const value = commits[(index + 1 + (this.#made % (commits.length - 1))) % commits.length]
    await run('git', ['-C', path, 'update-ref', ref, value])
    return { ref, value }
  }
}

/**
 * CPU and wall milliseconds of a process of `git upload-pack` that lists one prefix: means. A shell starts them: it is small,
 * and what fork(2) costs depends on the memory of the process that calls it.
 */
export function bareProcess({ path }, times) {
  const question = join(directory, 'question')
  writeFileSync(question, questionFor('refs/heads/main'))
  const loop = 'for turn in $(seq "$1"); do git upload-pack --stateless-rpc "$2" < "$3"; done'
  const env = { ...process.env, GIT_PROTOCOL: 'version=2' }
  const before = cpuSeconds(process.pid)
  const own = process.cpuUsage()
  const started = performance.now()
  const { stdout } = spawnSync('sh', ['-c', loop, 'sh', String(times), path, question], { env })
  const wallMs = (performance.now() - started) / times
  const { user, system } = process.cpuUsage(own)
  if (stdout.toString().split(' refs/heads/main\n').length !== times + 1)
    throw new Error('git upload-pack: a wrong answer')
  return { cpuMs: ((cpuSeconds(process.pid) - before - (user + system) / 1e6) * 1000) / times, wallMs }
}
