// A cold storm: many readers at once, refstream beside plain `git http-backend`, in turn, in one run.
//
//   make build && node test/bench/storm.mjs [READERS] [REFS] [ROUNDS]
import { contenders, makeRepository, median, processesStarted, quantile, runJson } from './rig.mjs'

const [readers, refs, rounds] = [200, 100_000, 3].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
makeRepository('r.git', refs)

const results = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const [name, start] of Object.entries(contenders)) {
    const server = await start()
    const seen = await runJson('load.mjs', `${server.url}/r.git/info/refs?service=git-upload-pack`, readers)
    if (seen.some(({ bytes }) => bytes < refs * 60)) throw new Error(`${name} sent too little`)
    const [first, last] = ['first', 'last'].map((key) => seen.map((each) => each[key]))
    const times = [first, last].flatMap((values) => [quantile(values, 0.5), quantile(values, 0.99)])
    results[name].push([processesStarted(), ...times, server.cpuSeconds() * 1000])
    await server.stop()
  }
}
console.log(`${readers} readers at once, ${refs} refs; times in ms, median of ${rounds} rounds\n`)
console.log('| server | processes | first byte p50 | first byte p99 | last byte p50 | last byte p99 | CPU |')
console.log('| --- | --- | --- | --- | --- | --- | --- |')
for (const [name, rows] of Object.entries(results)) {
  const medians = rows[0].map((_, column) => Math.round(median(rows.map((row) => row[column]))))
  console.log(`| ${name} | ${medians.join(' | ')} |`)
}
