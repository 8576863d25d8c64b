// What each thing costs as something else grows: refs, repositories, connections, entries in the store.
//
//   make bench-growth              all; writes test/bench/results/growth.*
//   make bench-growth QUICK=1      small numbers, two minutes; writes .run/bench/growth.*
//   node test/bench/growth.mjs refs entries      only these; writes .run/bench/growth.*
//
// What fails is reported, and the others go on. Ten thousand connections need as many open files: `ulimit -n "$(ulimit -Hn)"`.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { machine as describe } from './compare/machine.mjs'
import { figuresJson } from './figures.mjs'

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const parts = ['refs', 'repositories', 'connections', 'entries']
const chosen = process.argv.length > 2 ? process.argv.slice(2) : parts
const quick = Boolean(process.env.QUICK)
const machine = describe()
const started = performance.now()
// Only now: this compiles programs in C.
const { versions } = await import('./compare/contenders.mjs')
const { growthReport, growthTable } = await import('./growth/report.mjs')

const isWhole = !quick && chosen.length === parts.length
const place = fileURLToPath(new URL(isWhole ? 'results/' : '../../.run/bench/', import.meta.url))
mkdirSync(place, { recursive: true })
const minutes = () => ((performance.now() - started) / 60_000).toFixed(1)
const failures = []
const tables = []
const named = versions()

/** A row for each size; one that fails is reported, and the others go on. */
const each = (part) => async (sizes, measure) => {
  const rows = []
  for (const size of sizes) {
    console.error(`${minutes()} min: ${part}, ${size}`)
    try {
      rows.push(await measure(size))
    } catch (error) {
      console.error(error)
      failures.push(`${part}, ${size}: ${error.message}`)
    }
  }
  return rows
}

for (const part of chosen) {
  try {
    const { run } = await import(`./growth/${part}.mjs`)
    const found = await run({ quick, each: each(part) })
    tables.push(...found)
    for (const one of found) console.log(`${growthTable(one)}\n`)
  } catch (error) {
    console.error(error)
    failures.push(`${part}: ${error.message}`)
  }
  const facts = { quick, machine, versions: named, tables, failures, minutes: minutes() }
  writeFileSync(`${place}growth.md`, `${growthReport(facts)}\n`)
  writeFileSync(`${place}growth.json`, figuresJson(facts))
}
console.error(`${minutes()} min: the report is ${place}growth.md`)
if (failures.length > 0) console.error(`failed: ${failures.join('; ')}`)
