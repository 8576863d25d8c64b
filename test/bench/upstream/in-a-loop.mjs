// Clients in a closed loop and a push a second, made at the server itself: how old are answers, and what is the server
// asked?
import { execFileSync, execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { now } from '../marker.mjs'
import { makeRepository, metric, quantile, root, runJson, startPlainServer, startUpstream } from '../rig.mjs'
import { Line } from './line.mjs'

const run = promisify(execFile)
const ref = 'refs/heads/a-marker'
const identity = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']

/** A branch that is pushed to once a second, and when each of its values was in place. */
class Pushes {
  writes = []
  #repository
  #clone
  #commits

  constructor(name, clone) {
    this.#repository = join(root, name)
    this.#clone = clone
    const git = (...args) =>
      execFileSync('git', ['-C', this.#repository, ...args], { input: '' })
        .toString()
        .trim()
    const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
    this.#commits = Array.from({ length: 100 }, (_, index) =>
      git(...identity, 'commit-tree', tree, '-m', `${index}`),
    )
    git('update-ref', ref, this.#commits[0])
    git(
      'update-ref',
      'refs/heads/all',
      git(...identity, 'commit-tree', tree, '-m', 'all', ...this.#commits.flatMap((each) => ['-p', each])),
    )
    git('config', 'http.receivepack', 'true')
    execFileSync('git', ['clone', '--quiet', '--bare', this.#repository, clone], { stdio: 'ignore' })
    this.writes.push({ value: this.#commits[0], start: -Infinity, end: -Infinity })
  }

  async runFor(seconds, url) {
    const deadline = now() + seconds * 1000
    for (let next = now() + 500; next < deadline; next += 1000) {
      await sleep(Math.max(0, next - now()))
      const value = this.#commits[this.writes.length % this.#commits.length]
      const write = { value, start: now(), end: Infinity }
      this.writes.push(write)
      await run('git', ['-C', this.#clone, 'push', '--quiet', '--force', url, `${value}:${ref}`])
      write.end = now()
    }
  }

  /** Milliseconds for which what an answer shows had certainly been replaced when it was asked for; at most 0: not at all. */
  staleMs({ asked, end, value }) {
    const possible = this.writes.filter((write) => write.value === value && write.start < end)
    const last = possible.at(-1)
    if (!last) return Infinity
    const next = this.writes[this.writes.indexOf(last) + 1]
    return next ? asked - next.end : -Infinity
  }
}

/** For each request, how many of some moments lie between its arrival and its answer. */
function countWithin(requests, times) {
  const before = (time) => {
    let [low, high] = [0, times.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (times[middle] < time) low = middle + 1
      else high = middle
    }
    return low
  }
  return requests.map(({ at, answeredAt }) => before(answeredAt) - before(at))
}

async function measure(freshness, { readers, seconds, refs }) {
  const name = `${freshness.replaceAll(/\W/g, '-')}.git`
  makeRepository(name, refs)
  const pushes = new Pushes(name, join(root, `${name}.clone`))
  const server = await startPlainServer('git')
  const line = await Line.open(server.url)
  const refstream = await startUpstream(line.url, ['--upstream-freshness', freshness])
  // In front of refstream, so that one clock tells the order of all that its clients ask and of all that it asks.
  const front = await Line.open(refstream.url)
  const [answers] = await Promise.all([
    runJson('upstream/loop-readers.mjs', `${front.url}/${name}`, readers, seconds, ref),
    pushes.runFor(seconds, `${server.url}/${name}`),
  ])
  const [asked, clientAsked] = await Promise.all(
    ['requests', 'client_requests'].map((name) => metric(refstream, `refstream_upstream_${name}_total`)),
  )
  const { requests } = line
  const of = (version) => answers.filter((answer) => answer.version === version)
  const listingsOf = (line) =>
    line.requests.filter(({ line: text, answeredAt }) => text.startsWith('POST') && answeredAt < Infinity)
  const within = countWithin(
    listingsOf(front),
    line.requests.filter(({ line: text }) => text.startsWith('POST')).map(({ at }) => at),
  )
  const stale = answers.map((answer) => pushes.staleMs(answer))
  const clientRequests = of(0).length + 2 * of(2).length
  await refstream.stop()
  await server.stop()
  for (const each of [front, line]) each.close()
  const boundMs = freshness === 'exact' ? 0 : 1000 * Number(freshness.split(':')[1])
  return {
    freshness,
    ...{ readers, seconds, refs },
    pushes: pushes.writes.length - 1,
    answers: answers.length,
    tooOld: stale.filter((ms) => ms > boundMs).length,
    oldestMs: Math.max(0, ...stale),
    clientRequests,
    upstreamRequests: requests.length,
    upstreamPerSecond: requests.length / seconds,
    quotient: requests.length / clientRequests,
    ...{ asked, clientAsked },
    perRoundTripP50: quantile(within, 0.5),
    perRoundTripMost: Math.max(...within),
    p50: quantile(
      answers.map(({ asked, end }) => end - asked),
      0.5,
    ),
    p99: quantile(
      answers.map(({ asked, end }) => end - asked),
      0.99,
    ),
  }
}

/** @returns rows, and their columns */
export async function inALoop(options) {
  const rows = []
  for (const freshness of ['exact', 'bounded:5']) rows.push(await measure(freshness, options))
  return rows
}
