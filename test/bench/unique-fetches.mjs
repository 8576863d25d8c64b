// What a fetch costs that no other asks for: CPU and bytes written of two or more servers in turns, A B A B, each turn on a
// copy of the repository that no cache knows. With ASK=clone, checkout or fetch: what a storm of these costs instead, in
// which all ask for the same at once.
//
//   node test/bench/unique-fetches.mjs 'dist' 'dist --no-packs'
//   ASK=clone FETCHES=50 node test/bench/unique-fetches.mjs 'dist' 'dist --pack-memory-max-bytes 256MiB'
//   ROUNDS=8 FETCHES=100 node test/bench/unique-fetches.mjs nginx '../other/dist --pack-memory-max-bytes 1MiB' 'dist'
//
// Each argument is nginx (plain, with git http-backend), or a directory of a build and flags. QUICK=1 takes the small
// repository. Ratios are of each turn to the first server's in the same round; their median counts.
import { resolve } from 'node:path'
import { packContenders, start } from './compare/contenders.mjs'
import { cost, wakeForPacks } from './compare/measure.mjs'
import { pullTogether } from './compare/pack-figures.mjs'
import { packRepository } from './compare/pack-repository.mjs'
import { makeClients, recordAll, replayFile, uniqueFetches } from './compare/pack-requests.mjs'
import { makeRepository } from './compare/repositories.mjs'
import { load } from './compare/tools.mjs'
import { median, table } from './rig.mjs'

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const quick = Boolean(process.env.QUICK)
const [rounds, fetches] = [Number(process.env.ROUNDS || 5), Number(process.env.FETCHES || 40)]
const wanted = process.argv.slice(2)
if (wanted.length < 2) throw new Error("name two servers or more, such as 'dist' and 'dist --no-packs'")

const ask = process.env.ASK || 'unique'
const contender = (name) => packContenders().find((each) => each.name === name)
const repository = packRepository(quick)
const small = makeRepository('small.git', 20)
// Before any server runs: a repository that has changed a moment ago is not cached.
const storm =
  ask === 'unique' ? undefined : (await recordAll(repository.copy(), await makeClients(repository)))[ask]
if (ask !== 'unique' && !storm) throw new Error(`ASK=${ask}: it is unique, clone, checkout or fetch`)
const copies = Array.from({ length: rounds * wanted.length }, repository.copy)
const servers = []
for (const words of wanted) {
  const [build, ...flags] = words.split(' ').filter(Boolean)
  const server =
    build === 'nginx'
      ? await start(contender('nginx'))
      : await start(contender('refstream'), { cli: resolve(build, 'cli/refstream.cjs'), flags })
  await wakeForPacks(server, small, false)
  servers.push({ words, server, turns: [] })
}

const asked = storm
  ? { group: storm.requests.length, clients: fetches }
  : { group: 1, clients: Math.min(4, fetches) }
const fileFor = (copy) =>
  storm
    ? replayFile(storm.requests, copy)
    : replayFile(uniqueFetches(repository.commits, fetches), copy, () => true)
for (let round = 0; round < rounds; round++) {
  for (const { words, server, turns } of servers) {
    const options = { port: server.port, requests: fileFor(copies.pop()), ...asked, sessions: fetches }
    const own = server.leaderSeconds()
    const { result, ...costs } = await cost(server, () =>
      load('list', { ...options, records: 1, timeout: 600 }),
    )
    const { faults, ...figures } = pullTogether(result.records, fetches, storm?.bytes)
    if (faults) console.error(`${words}: ${faults}`)
    turns.push({ ...costs, ...figures, ownSeconds: server.leaderSeconds() - own })
    console.error(
      `round ${round + 1}: ${words}: ${((costs.cpuSeconds / fetches) * 1000).toFixed(1)} ms of CPU per fetch`,
    )
  }
}

const each = (turns, key) => median(turns.map((turn) => turn[key]))
const [{ turns: first }] = servers
console.log(
  table(
    [
      'server',
      'CPU per fetch, ms',
      '÷ first',
      'of it the server’s own, ms',
      'first byte p50, ms',
      'wall p50, ms',
      'pack-objects',
      'written, MB',
    ],
    servers.map(({ words, turns }) => [
      words,
      (each(turns, 'cpuSeconds') / fetches) * 1000,
      median(turns.map(({ cpuSeconds }, round) => cpuSeconds / first[round].cpuSeconds)).toFixed(3),
      ((each(turns, 'ownSeconds') / fetches) * 1000).toFixed(2),
      ...['firstP50', 'wallP50', 'packObjects', 'writtenMegabytes'].map((key) => each(turns, key)),
    ]),
  ).join('\n'),
)
for (const { server } of servers) await server.stop()
