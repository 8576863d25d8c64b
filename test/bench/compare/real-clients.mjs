// Real Git clients, many at once, on warm caches: `git ls-remote` of all refs and of one, and `git fetch` of nothing new.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { directory } from '../rig.mjs'
import { cost, eachInTurn, summarize, wake } from './measure.mjs'

export const title = 'Real clients'

/** Exit code and digest of what a client printed. */
async function git(args) {
  const child = spawn('git', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const digest = createHash('sha1')
  for await (const chunk of child.stdout) digest.update(chunk)
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
  return `${code} ${digest.digest('hex')}`
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

export async function run({ contenders, repositories, quick }) {
  const repository = quick ? repositories.middle : repositories.large
  const clients = quick ? 10 : 50
  const clones = Array.from({ length: clients }, (_, index) => makeClone(repository, index))
  const expected = Object.fromEntries(
    [[], ['refs/heads/main']].map((patterns) => {
      const output = execFileSync('git', ['ls-remote', repository.path, ...patterns], { maxBuffer: 2 ** 28 })
      return [patterns.length, `0 ${createHash('sha1').update(output).digest('hex')}`]
    }),
  )
  const nothing = `0 ${createHash('sha1').digest('hex')}`
  const fetching = [
    '-c',
    'gc.auto=0',
    '-c',
    'maintenance.auto=false',
    'fetch',
    '--quiet',
    '--no-write-fetch-head',
  ]
  const operations = {
    'ls-remote, all refs': { right: expected[0], args: (url) => ['ls-remote', url] },
    'ls-remote, one ref': { right: expected[1], args: (url) => ['ls-remote', url, 'refs/heads/main'] },
    'fetch, nothing new': {
      right: nothing,
      args: (url, clone) => ['-C', clone, ...fetching, url, '+refs/heads/*:refs/heads/*'],
    },
  }
  const rows = []
  await eachInTurn(contenders, async (server) => {
    await wake(server, repositories.small)
    const url = `${server.url}/${repository.name}`
    for (const version of [0, 2]) {
      for (const [operation, { right, args }] of Object.entries(operations)) {
        // In v0 a server cannot tell what its client looks for.
        if (version === 0 && operation === 'ls-remote, one ref') continue
        const one = (clone) => git(['-c', `protocol.version=${version}`, ...args(url, clone)])
        await one(clones[0])
        const { result, ...costs } = await cost(server, () => Promise.all(clones.map(one)))
        const wrong = result.filter((each) => each !== right).length
        rows.push({
          ...{ server: server.name, protocol: `v${version}`, operation, clients, refs: repository.refs },
          ...{ ...costs, faults: wrong > 0 ? `${wrong} wrong or failed` : '' },
        })
      }
    }
  })
  rows.sort((a, b) => a.protocol.localeCompare(b.protocol) || order(operations, a) - order(operations, b))
  return { rows: summarize(rows, ['protocol', 'operation', 'server']), rounds: rows }
}

const order = (operations, { operation }) => Object.keys(operations).indexOf(operation)
