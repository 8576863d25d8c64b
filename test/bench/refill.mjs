// What one push costs: pushes one by one to repositories of three sizes, with splices on and off, in turns, in one run.
//
//   make bench-refill            writes test/bench/results/refill.*
//   make bench-refill QUICK=1    few pushes on 10,000 and 133,000 refs, under two minutes; writes .run/bench/refill.*
//   node test/bench/refill.mjs 133000        only these sizes; writes .run/bench/refill.*
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { contenders, start, versions } from './compare/contenders.mjs'
import { machine as describe } from './compare/machine.mjs'
import { cost, wake } from './compare/measure.mjs'
import { makeRepository } from './compare/repositories.mjs'
import { figuresJson } from './figures.mjs'
import { Asker, kinds } from './refill/asker.mjs'
import { mediansOf } from './refill/figures.mjs'
import { bareProcess, hasReftable, makeRepositories, Pushes } from './refill/pushes.mjs'
import { report } from './refill/report.mjs'
import { median, metric } from './rig.mjs'

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const quick = Boolean(process.env.QUICK)
const sizes = process.argv.slice(2).map(Number)
if (sizes.length === 0) sizes.push(10_000, 133_000, ...(quick ? [] : [667_000]))
const formats = hasReftable() ? ['files', 'reftable'] : ['files']
const rounds = quick ? 1 : 3
/** So long after a change its state can be named; and so long all that a push has caused is done. */
const [settledMs, doneMs] = [40, 80]
/** Audits that may spoil a round before it counts as it is. */
const triesMax = 4

const machine = describe()
const refstream = contenders().find(({ name }) => name === 'refstream')
const small = makeRepository('small.git', 20)

/** A refstream that has answered questions and refilled after pushes for a while, to another, small repository. */
async function startWarm(splice) {
  const server = await start(refstream, { flags: ['--splice', splice] })
  const { admin: adminUrl } = await said(join(server.place, 'log'), '"admin":"http')
  const asker = new Asker(server.port)
  await wake(server, small, quick)
  const pushes = new Pushes(small)
  for (let turn = 0; turn < (quick ? 60 : 200); turn++)
    await pushAndAsk(asker, small, pushes, kindAt(turn), 5)
  return {
    ...{ server, asker, splice },
    audits: () => metric({ adminUrl }, 'refstream_splice_audits_total'),
    wrong: async () => (await metric({ adminUrl }, 'refstream_splice_off_repositories')) > 0,
  }
}

/** The line of a log in JSON that has these letters, as soon as it is there. */
async function said(log, letters) {
  for (;;) {
    const line = readFileSync(log, 'utf8')
      .split('\n')
      .find((each) => each.includes(letters))
    if (line) return JSON.parse(line)
    await sleep(20)
  }
}

const kindAt = (turn) => Object.keys(kinds)[turn % Object.keys(kinds).length]

async function pushAndAsk(asker, { name }, pushes, kind, settleMs) {
  const { ref, value } = await pushes.next()
  if (settleMs > 0) await sleep(settleMs)
  return asker.ask(name, kind, ref, value)
}

/** Waits until no audit has ended for a while. */
async function quiet({ audits }) {
  for (let known = -1, since = 0; performance.now() - since < 1500; await sleep(100)) {
    const now = await audits()
    if (now !== known) [known, since] = [now, performance.now()]
  }
}

/** What a push costs a server, as the mean over some; a round that an audit has spoilt is done again. */
async function pushRound(contender, repository, pushes, kind, count) {
  const { server, asker, audits } = contender
  for (let attempt = 1; ; attempt++) {
    const before = await audits()
    const answers = []
    // Reading /metrics is not part of it.
    await sleep(doneMs)
    const costs = await cost(server, async () => {
      for (let turn = 0; turn < count; turn++) {
        const { ref, value } = await pushes.next()
        await sleep(settledMs)
        answers.push(await asker.ask(repository.name, kind, ref, value))
        await sleep(doneMs)
      }
    })
    const audited = (await audits()) - before
    if (audited > 0 && attempt < triesMax) continue
    return {
      ...{ cpuMs: (costs.cpuSeconds * 1000) / count, processes: costs.processes / count, audited },
      firstMs: median(answers.map(({ first }) => first)),
      wholeMs: median(answers.map(({ whole }) => whole)),
      writtenKilobytes: (costs.writtenMegabytes * 1000) / count,
    }
  }
}

/** What the same question costs when nothing has changed. */
async function pollRound({ server, asker }, repository, { ref, value }, kind, count) {
  const { cpuSeconds } = await cost(server, async () => {
    for (let turn = 0; turn < count; turn++) await asker.ask(repository.name, kind, ref, value)
  })
  return (cpuSeconds * 1000) / count
}

async function measure(repository) {
  const { refs, format } = repository
  const pushes = new Pushes(repository)
  const servers = [await startWarm('on'), await startWarm('off')]
  const rows = []
  try {
    for (const { asker, splice } of servers) {
      // Past the first three splices of the listing and of the advertisement, which are audited.
      const warm = splice === 'on' ? ['v2, one prefix', ...Array(9).fill('v0, all refs')] : Object.keys(kinds)
      for (const kind of warm) {
        await pushAndAsk(asker, repository, pushes, kind, settledMs)
        await sleep(doneMs)
      }
    }
    await quiet(servers[0])
    for (const kind of Object.keys(kinds)) {
      const made = new Map(servers.map(({ splice }) => [splice, []]))
      for (let round = 0; round < rounds; round++) {
        for (const contender of servers) {
          const count = contender.splice === 'on' ? (quick ? 12 : 20) : refs > 200_000 ? 4 : quick ? 3 : 8
          made.get(contender.splice).push(await pushRound(contender, repository, pushes, kind, count))
        }
      }
      for (const contender of servers) {
        const push = await pushes.next()
        await sleep(settledMs)
        await contender.asker.ask(repository.name, kind, push.ref, push.value)
        await sleep(doneMs)
        const unchangedMs = await pollRound(contender, repository, push, kind, quick ? 10 : 30)
        const { splice } = contender
        rows.push({ refs, format, kind, splice, ...mediansOf(made.get(splice)), unchangedMs })
        console.error(JSON.stringify(rows.at(-1)))
      }
    }
    if (await servers[0].wrong()) throw new Error('a splice was wrong')
  } finally {
    for (const { server, asker } of servers) {
      asker.close()
      await server.stop()
    }
  }
  return rows
}

const facts = { name: 'refill', quick, machine, versions: versions(), formats, rows: [], processes: [] }
const committed = !quick && process.argv.length === 2
const place = fileURLToPath(new URL(committed ? 'results/' : '../../.run/bench/', import.meta.url))
mkdirSync(place, { recursive: true })
for (const refs of sizes) {
  for (const repository of makeRepositories(refs, formats)) {
    const { format } = repository
    facts.processes.push({ refs, format, ...bareProcess(repository, quick ? 20 : 60) })
    facts.rows.push(...(await measure(repository)))
    writeFileSync(`${place}refill.md`, `${report(facts)}\n`)
    writeFileSync(`${place}refill.json`, figuresJson(facts))
  }
}
console.error(`the report is ${place}refill.md`)
