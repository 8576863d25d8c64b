// What a fetch costs that no other asks for: CPU and bytes written of two or more servers in turns, A B A B, each turn on a
// copy of the repository that no cache knows.
//
//   node test/bench/unique-fetches.mjs 'dist' 'dist --no-packs'
//   ROUNDS=8 FETCHES=100 node test/bench/unique-fetches.mjs nginx '../other/dist --pack-memory-max-bytes 1MiB' 'dist'
//
// Each argument is nginx (plain, with git http-backend), or a directory of a build and flags. QUICK=1 takes the small
// repository. Ratios are of each turn to the first server's in the same round; their median counts.
import { resolve } from 'node:path'
import { packContenders, start } from './compare/contenders.mjs'
import { cost, wakeForPacks } from './compare/measure.mjs'
import { pullTogether } from './compare/pack-figures.mjs'
import { packRepository } from './compare/pack-repository.mjs'
import { replayFile, uniqueFetches } from './compare/pack-requests.mjs'
import { makeRepository } from './compare/repositories.mjs'
import { load } from './compare/tools.mjs'
import { median, table } from './rig.mjs'

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const quick = Boolean(process.env.QUICK)
const [rounds, fetches] = [Number(process.env.ROUNDS || 5), Number(process.env.FETCHES || 40)]
const wanted = process.argv.slice(2)
if (wanted.length < 2) throw new Error("name two servers or more, such as 'dist' and 'dist --no-packs'")

const contender = (name) => packContenders().find((each) => each.name === name)
const repository = packRepository(quick)
const small = makeRepository('small.git', 20)
// Before any server runs: a repository that has changed a moment ago is not cached.
const copies = Array.from({ length: rounds * wanted.length }, repository.copy)
const servers = []
for (const words of wanted) {
  const [build, ...flags] = words.split(' ').filter(Boolean)
  const server =
    build === 'nginx'
      ? await start(contender('nginx'))
      : await start(contender('refstream'), { cli: resolve(build, 'cli/main.js'), flags })
  await wakeForPacks(server, small, false)
  servers.push({ words, server, turns: [] })
}

const all = uniqueFetches(repository.commits, fetches)
for (let round = 0; round < rounds; round++) {
  for (const { words, server, turns } of servers) {
    const requests = replayFile(all, copies.pop(), () => true)
    const options = {
      port: server.port,
      requests,
      group: 1,
      sessions: fetches,
      clients: 4,
      records: 1,
      timeout: 600,
    }
    const own = server.leaderSeconds()
    const { result, ...costs } = await cost(server, () => load('list', options))
    const { faults, ...figures } = pullTogether(result.records, fetches)
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
