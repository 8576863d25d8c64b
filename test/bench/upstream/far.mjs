// A server at the end of a long line: what a poll and a clone cost directly, through one refstream on the near side, and
// through one on each side.
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { now } from '../marker.mjs'
import { directory, quantile, root, startPlainServer, startUpstream } from '../rig.mjs'
import { Line } from './line.mjs'
import { FarSide } from './namespace.mjs'

const run = promisify(execFile)

/** A repository with that many megabytes that cannot be compressed, and that many branches. */
async function makeLargeRepository(name, megabytes, branches) {
  const path = join(root, name)
  execFileSync('git', ['init', '--quiet', '--bare', '-b', 'main', path])
  const importer = spawn('git', ['-C', path, 'fast-import', '--quiet'], {
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  const write = async (part) => importer.stdin.write(part) || (await once(importer.stdin, 'drain'))
  for (let count = 0; count < megabytes; count++) {
    await write(
      `commit refs/heads/main\ncommitter b <b@example.com> 1577836800 +0000\ndata 2\n${count % 10}\n`,
    )
    await write(`M 100644 inline file-${count}\ndata 1000000\n`)
    await write(randomBytes(1_000_000))
    await write('\n')
  }
  importer.stdin.end()
  await once(importer, 'exit')
  const commit = execFileSync('git', ['-C', path, 'rev-parse', 'main']).toString().trim()
  rmSync(join(path, 'refs/heads/main'), { force: true })
  writeFileSync(join(path, 'packed-refs'), '# pack-refs with: peeled fully-peeled sorted \n')
  const refs = Array.from({ length: branches }, (_, index) => {
    return `${commit} refs/heads/branch-number-${String(index).padStart(7, '0')}\n`
  })
  appendFileSync(join(path, 'packed-refs'), `${refs.join('')}${commit} refs/heads/main\n`)
}

/** What a client's work costs: milliseconds, and what passed the line. */
async function cost(line, far, work) {
  // What is still on its way belongs to what was before.
  await sleep(500)
  const before = { ...line.passed, wire: far?.bytes }
  const start = now()
  await work()
  const ms = now() - start
  await sleep(500)
  const after = line.passed
  return {
    ms,
    bytes: after.bytes - before.bytes,
    wireBytes: far ? far.bytes - before.wire : undefined,
    requests: after.requests - before.requests,
    connections: after.connections - before.connections,
  }
}

const shapes = [
  { name: 'direct', near: undefined, pair: false },
  { name: 'one refstream, exact', near: 'exact', pair: false },
  { name: 'one refstream, bounded:60', near: 'bounded:60', pair: false },
  { name: 'a pair, exact', near: 'exact', pair: true },
  { name: 'a pair, bounded:60', near: 'bounded:60', pair: true },
]

/** Several polls, one after the other, by Git's own client. */
async function poll(line, far, url, version) {
  const costs = []
  for (let count = 0; count < 7; count++) {
    costs.push(
      await cost(line, far, () =>
        run('git', ['-c', `protocol.version=${version}`, 'ls-remote', url], { maxBuffer: 1 << 28 }),
      ),
    )
  }
  // The first one fills.
  const [, ...unchanged] = costs
  const median = (key) =>
    quantile(
      unchanged.map((each) => each[key] ?? NaN),
      0.5,
    )
  return Object.fromEntries(
    ['ms', 'bytes', 'wireBytes', 'requests', 'connections'].map((key) => [key, median(key)]),
  )
}

async function measure(shape, far, name, { roundTripMs, bitsPerSecond }) {
  const server = await startPlainServer('git', far)
  const there = shape.pair ? await startUpstream(server.url, [], far) : undefined
  const line = await Line.open((there ?? server).url, { roundTripMs, bitsPerSecond })
  const here = shape.near && (await startUpstream(line.url, ['--upstream-freshness', shape.near]))
  const url = `${(here ?? line).url}/${name}`
  let count = 0
  const clone = () => {
    const path = join(directory, `${shape.name.replaceAll(/\W/g, '-')}-${count++}`)
    return cost(line, far, () =>
      run('git', ['clone', '--quiet', '--bare', '--single-branch', '-b', 'main', url, path]),
    )
  }
  const clones = [await clone()]
  // A long pack that only one client asks for is not kept, so the second client's is, and the third gets it.
  if (shape.near) clones.push(await clone(), await clone())
  const [v2, v0] = [await poll(line, far, url, 2), await poll(line, far, url, 0)]
  for (const each of [here, there, server]) await each?.stop()
  line.close()
  return { ...shape, clones, v2, v0 }
}

export async function farAway(options) {
  const name = 'far.git'
  await makeLargeRepository(name, options.megabytes, options.branches)
  const far = FarSide.open()
  const rows = []
  for (const shape of shapes) rows.push(await measure(shape, far, name, options))
  return { hasInterface: far !== undefined, rows }
}
