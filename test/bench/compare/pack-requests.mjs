// What is asked for packs: what real clients send for a clone, a checkout by commit id and an incremental fetch, and a
// stream of fetches each of which asks for something else.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { directory } from '../rig.mjs'
import { record, replay } from './recorder.mjs'
import { files } from './requests.mjs'

const git = promisify(execFile)
const emptyDirectory = () => mkdtempSync(join(directory, 'client-'))

/** A bare repository that has main as it was some commits ago. */
async function makeBehind({ path, commits }) {
  const place = emptyDirectory()
  await git('git', ['init', '--quiet', '--bare', place])
  const old = commits.at(-Math.floor(commits.length / 20))
  await git('git', ['-C', place, 'fetch', '--quiet', '--no-tags', path, `${old}:refs/heads/main`])
  return { place, old }
}

/** operation → `client(url)`, which runs Git as a job does and gives the directory with what it got. */
export async function makeClients(repository) {
  const behind = await makeBehind(repository)
  const tip = repository.commits.at(-1)
  const fetching = (prepare, args) => async (url) => {
    const place = emptyDirectory()
    await prepare(place)
    await git('git', ['-C', place, '-c', 'gc.auto=0', 'fetch', '--quiet', ...args(url)])
    return place
  }
  const empty = (place) => git('git', ['init', '--quiet', '--bare', place])
  const copied = (place) => git('cp', ['-rl', `${behind.place}/.`, place])
  return {
    clone: async (url) => {
      const place = emptyDirectory()
      await git('git', ['clone', '--quiet', '--bare', url, place])
      return place
    },
    checkout: fetching(empty, (url) => ['--depth=1', '--no-tags', url, tip]),
    fetch: fetching(copied, (url) => ['--no-tags', url, '+refs/heads/main:refs/heads/main']),
  }
}

/** What is wrong with what a real client gets; empty if nothing is. */
export async function faultOfClient(client, url, tip) {
  let place
  try {
    place = await client(url)
    await git('git', ['-C', place, 'fsck', '--strict', '--no-dangling', '--no-progress'])
    await git('git', ['-C', place, 'cat-file', '-e', `${tip}^{tree}`])
    return ''
  } catch (error) {
    return `a real client failed: ${error.message}`
  } finally {
    if (place) remove(place)
  }
}

const remove = (place) => rmSync(place, { recursive: true, force: true })
const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text

/** A POST of protocol v2's fetch, gitprotocol-v2(5). */
export function fetchRequest(lines) {
  const body = [
    ...[packet('command=fetch'), packet('agent=bench'), packet('object-format=sha1'), '0001'],
    ...['thin-pack', 'no-progress', 'ofs-delta', ...lines, 'done'].map((line) => packet(`${line}\n`)),
    '0000',
  ].join('')
  const headers = { 'git-protocol': 'version=2', 'content-type': 'application/x-git-upload-pack-request' }
  return { method: 'POST', url: '/any/git-upload-pack', headers, body: Buffer.from(body) }
}

/**
 * So many requests, no two alike: a quarter are checkouts at depth 1 of different commits, the others want some commit and
 * have another, up to two hundred commits older.
 */
export function uniqueFetches(commits, count) {
  return Array.from({ length: count }, (_, index) => {
    const want = commits.at(-1 - index)
    if (index % 4 === 0) return fetchRequest(['deepen 1', `want ${want}`])
    const have = commits.at(
      -2 - index - Math.floor((((index * 37) % 100) / 100) * Math.min(200, commits.length / 10)),
    )
    return fetchRequest([`want ${want}`, `have ${have}`])
  })
}

let written = 0
/** A file of requests to a repository for the load generator: each fetch is named so, what leads to it is not. */
export function replayFile(requests, repository, isFetch = (_, index) => index === requests.length - 1) {
  const path = join(directory, `replay-${written++}`)
  const name = (request, index) => (isFetch(request, index) ? 'fetch' : 'before')
  writeFileSync(
    path,
    Buffer.concat(requests.map((each, index) => replay(each, name(each, index), repository))),
  )
  return path
}

/** What a client sends for each operation, with the length of Git's answer, which static servers have as a file. */
export async function recordAll(repository, clients) {
  const recorded = {}
  for (const [operation, client] of Object.entries(clients)) {
    const requests = await record(repository, async (url) => remove(await client(url)))
    const { answer } = requests.at(-1)
    mkdirSync(join(files, 'packs'), { recursive: true })
    writeFileSync(join(files, 'packs', operation), answer)
    // A hundred megabytes each, of which only the length is used.
    for (const each of requests) delete each.answer
    recorded[operation] = { requests, bytes: answer.length }
  }
  return recorded
}

/** The request for the answer of an operation as a file. */
export const staticFile = (operation) =>
  replayFile([{ method: 'GET', url: `/any/${operation}`, headers: {}, body: Buffer.alloc(0) }], {
    name: 'packs',
  })
