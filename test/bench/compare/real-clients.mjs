// Real Git clients, many at once, on warm caches: `git ls-remote`, and `git fetch` of one branch and of all, with nothing new.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { directory } from '../rig.mjs'
import { cost, eachInTurn, inRounds, summarize, wake } from './measure.mjs'

export const title = 'Real clients'

/** Exit code and digest of what a client printed. */
async function git(args) {
  const child = spawn('git', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const digest = createHash('sha1')
  for await (const chunk of child.stdout) digest.update(chunk)
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
  return `${code} ${digest.digest('hex')}`
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']))
/** CPU time of all clients that have ended, with their children; proc_pid_stat(5), cutime and cstime. */
function clientSeconds() {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}

/** A bare repository that has all that is to be fetched already. */
function makeClone(repository, index) {
  const path = join(directory, `clone-${index}`)
  execFileSync('git', ['init', '--quiet', '--bare', path])
  mkdirSync(join(path, 'objects/info'), { recursive: true })
  writeFileSync(join(path, 'objects/info/alternates'), `${join(repository.path, 'objects')}\n`)
  copyFileSync(join(repository.path, 'packed-refs'), join(path, 'packed-refs'))
  return path
}

const digestOf = (text) => createHash('sha1').update(text).digest('hex')
const quiet = ['-c', 'gc.auto=0', '-c', 'maintenance.auto=false', 'fetch', '--quiet', '--no-write-fetch-head']

/** What is asked; a client that fetches from a very large repository does so much itself that nothing else is to be seen. */
function operations({ middle, large }, quick, clients) {
  const listed = quick ? middle : large
  const clones = Array.from({ length: clients }, (_, index) => makeClone(middle, index))
  const all = execFileSync('git', ['ls-remote', listed.path], { maxBuffer: 2 ** 28 })
  const fetching = (repository, refs) => ({
    repository,
    right: digestOf(''),
    args: (url, client) => ['-C', clones[client], ...quiet, url, refs],
  })
  return {
    'ls-remote, all refs': { repository: listed, right: digestOf(all), args: (url) => ['ls-remote', url] },
    // All repositories have the same commits. (`git ls-remote URL REF` asks for all refs.)
    'fetch, one branch': fetching(listed, 'refs/heads/main'),
    'fetch, nothing new': fetching(middle, '+refs/heads/*:refs/heads/*'),
  }
}

export async function run({ contenders, repositories, quick }) {
  const clients = quick ? 10 : 50
  const asked = operations(repositories, quick, clients)
  // In v0 a server cannot tell what its client looks for.
  const turns = [0, 2].flatMap((version) =>
    Object.entries(asked)
      .filter(([operation]) => version === 2 || operation !== 'fetch, one branch')
      .map(([operation, each]) => ({ version, operation, ...each })),
  )
  const rows = []
  for (const round of inRounds(contenders, quick ? 1 : 2)) {
    await eachInTurn(round, async (server) => {
      await wake(server, repositories.small, quick)
      for (const { version, operation, repository, right, args } of turns) {
        const url = `${server.url}/${repository.name}`
        const one = (_, client) => git(['-c', `protocol.version=${version}`, ...args(url, client)])
        const together = (length) => Promise.all(Array.from({ length }, one))
        // The first fills the caches; the next let the code become warm, as in the other scenarios.
        await one(undefined, 0)
        await together(Math.min(clients, 20))
        const { result, ...costs } = await cost(server, async () => {
          const before = clientSeconds()
          const answers = await together(clients)
          return { answers, cpuSeconds: clientSeconds() - before }
        })
        const wrong = result.answers.filter((each) => each !== `0 ${right}`).length
        rows.push({
          ...{ server: server.name, protocol: `v${version}`, operation, clients, refs: repository.refs },
          ...{ ...costs, faults: wrong > 0 ? `${wrong} wrong or failed` : '' },
        })
      }
    })
  }
  const place = ({ protocol, operation }) =>
    turns.findIndex((turn) => `v${turn.version}` === protocol && turn.operation === operation)
  rows.sort((a, b) => place(a) - place(b))
  return { rows: summarize(rows, ['protocol', 'operation', 'server']), rounds: rows }
}
