// refstream beside nginx, nginx's cache and Varnish, in turn, in one run, with a report.
//
//   make bench                          all; writes test/bench/results/compare.*
//   make bench QUICK=1                  small numbers, some minutes; writes .run/bench/compare.*
//   node test/bench/compare.mjs warm-hits veth:polls      only these scenarios; writes .run/bench/compare.*
//
// A scenario whose name begins with `veth:` runs over a pair of interfaces between two network namespaces (root only), others
// over loopback. What fails is reported, and the others go on.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { install } from './compare/packages.mjs'
import { machine as describe } from './compare/machine.mjs'
import { loopback, useNetwork, veth } from './compare/network.mjs'
import { figuresJson } from './figures.mjs'

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const order = [
  ...['warm-hits', 'polls', 'cold-storm', 'slow-first', 'mutation-storm', 'push-storm', 'real-clients'],
  ...['restart', 'slow-clients', 'workers', 'packs'],
  ...['veth:warm-hits', 'veth:polls', 'veth:cold-storm', 'veth:push-storm'],
]
const chosen = process.argv.length > 2 ? process.argv.slice(2) : order
const quick = Boolean(process.env.QUICK)
const machine = describe()
const started = performance.now()

const lacking = install()
if (lacking.includes('cc')) throw new Error('a C compiler is needed')
// Only now: these compile programs in C.
const { contenders: all, packContenders, start, versions } = await import('./compare/contenders.mjs')
const { failures } = await import('./compare/measure.mjs')
const { makeRepository } = await import('./compare/repositories.mjs')
const { picture, report } = await import('./compare/report.mjs')

const contenders = all().filter(({ missing }) => missing.length === 0)
const leftOut = [...all(), ...packContenders()]
  .filter((each) => each.missing.length > 0)
  .map((each) => `${each.name}, for want of ${each.missing.join(' and ')}`)
const missing = [...new Set(leftOut)]
missing.forEach((each) => console.error(`left out: ${each}`))

/** Each is made when a scenario first asks for it. */
const repositories = {}
const sizes = { small: 20, middle: 10_000, large: 100_000, ...(quick ? {} : { huge: 500_000 }) }
for (const [name, refs] of Object.entries(sizes)) {
  let made
  const get = () => (made ??= makeRepository(`${name}.git`, refs))
  Object.defineProperty(repositories, name, { get })
}
const probe = await start(contenders.find(({ name }) => name === 'refstream'))
const { method } = probe
await probe.stop()

const committed = !quick && chosen.length === order.length
const place = fileURLToPath(new URL(committed ? 'results/' : '../../.run/bench/', import.meta.url))
mkdirSync(place, { recursive: true })
const minutes = () => ((performance.now() - started) / 60_000).toFixed(1)
const scenarios = {}
const pictureOf = (scenario) => `${place}compare-${scenario.replace(':', '-')}.svg`
const [names, programs] = [contenders.map(({ name }) => name), versions()]

/** The figures of a scenario; over veth it is shorter, and without plain Git, whose processes cost the same there. */
async function run(scenario) {
  const [network, name] = scenario.includes(':') ? scenario.split(':') : ['loopback', scenario]
  const { title, run } = await import(`./compare/${name}.mjs`)
  if (network === 'loopback') return { title, ...(await run({ contenders, repositories, quick })) }
  useNetwork(veth())
  try {
    const caches = contenders.filter(({ isPlainGit }) => !isPlainGit)
    const figures = await run({ contenders: caches, repositories, quick, short: true })
    return { title: `${title}, over veth`, ...figures }
  } finally {
    useNetwork(loopback)
  }
}

for (const scenario of chosen) {
  console.error(`${minutes()} min: ${scenario}`)
  const begun = performance.now()
  try {
    scenarios[scenario] = await run(scenario)
    scenarios[scenario].minutes = ((performance.now() - begun) / 60_000).toFixed(1)
    writeFileSync(pictureOf(scenario), picture(scenario, scenarios[scenario], names))
  } catch (error) {
    console.error(error)
    failures.push(`${scenario}: ${error.message}`)
  }
  // After each, so that a run that is ended early leaves what it has.
  const facts = { name: 'compare', quick, machine, versions: programs, method, contenders: names, missing }
  Object.assign(facts, { failures, minutes: minutes(), scenarios })
  writeFileSync(`${place}compare.md`, `${report(facts)}\n`)
  writeFileSync(`${place}compare.json`, figuresJson(facts))
}
console.error(`${minutes()} min: the report is ${place}compare.md`)
if (failures.length > 0) console.error(`failed: ${failures.join('; ')}`)
