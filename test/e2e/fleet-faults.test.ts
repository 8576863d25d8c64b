import t from 'tap'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { answersOf, followAll, type Following } from '../support/fleet/following.js'
import {
  skipKind,
  startFleetOf,
  type FleetKind,
  type FleetProcess,
  type TestedFleet,
} from '../support/fleet/kinds.js'
import { makeGitWrapper, plans, type GitWrapper } from '../support/git-wrapper.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

// A lease's time limit is 10 s, and a busy machine takes long.
t.setTimeout(120_000)

const advertisement = { path: '/r.git/info/refs?service=git-upload-pack' }

/** A fleet whose runs of Git pause after 1000 bytes; each writes who has started it. */
async function startPaused(t: Parameters<typeof startFleetOf>[0], kind: FleetKind) {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 2000)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(`echo "$PPID" >> "$dir/holders"; ${plans.pause(1000)}`)
  const fleet = await startFleetOf(t, kind, { root, args: ['--git', wrapper.path] })
  return { wrapper, fleet }
}

/** Starts clients of all processes, and resolves with the one that holds the fill when all have what Git has sent. */
async function startClients(fleet: TestedFleet, wrapper: GitWrapper, count: number) {
  const clients = followAll(fleet, count, advertisement)
  await eventually('all have what Git has sent', () => clients.every(({ length }) => length() >= 1000))
  const holder = fleet.processes.find(({ pid }) => pid === holders(wrapper)[0])!
  const [own, others] = [true, false].map((isOwn) =>
    clients.filter(({ process }) => (process === holder) === isOwn),
  ) as [Following[], Following[]]
  return { holder, own, others }
}

const holders = (wrapper: GitWrapper): number[] => wrapper.read('holders').trim().split('\n').map(Number)

for (const kind of ['redis', 'etcd', 'workers'] satisfies FleetKind[]) {
  t.test(
    `kill -9 in the middle of a fill: clients of other processes notice nothing: ${kind}`,
    { skip: skipKind[kind] },
    async (t) => {
      const { wrapper, fleet } = await startPaused(t, kind)
      const { holder, own, others } = await startClients(fleet, wrapper, 60)
      t.match([own.length, others.length], [20, 40])
      // The run that follows does not pause.
      wrapper.plan(`echo "$PPID" >> "$dir/holders"\n`)
      const killedMs = performance.now()
      process.kill(holder.pid, 'SIGKILL')
      await eventually('another process runs Git', () => holders(wrapper).length === 2)
      const secondMs = performance.now() - killedMs
      t.match(await answersOf(others), [/^200 1\d{5} \w+ 0000$/])
      const lastMs = Math.max(...others.map(({ lastMs }) => lastMs())) - killedMs
      t.equal(wrapper.count('upload-pack'), 2)
      t.not(holders(wrapper)[1], holder.pid)
      t.same(await answersOf(own), ['broken'])
      t.comment(
        `${kind}: second process after ${Math.round(secondMs)} ms, all answered after ${Math.round(lastMs)} ms`,
      )
      t.ok(lastMs < 5000, 'the gap is far below the time limit of a lease')
      wrapper.signal('go')
    },
  )
}

t.test(
  'a holder that hangs longer than its time limit loses its lease',
  { skip: skipKind.redis },
  async (t) => {
    const { wrapper, fleet } = await startPaused(t, 'redis')
    const { holder, own, others } = await startClients(fleet, wrapper, 30)
    wrapper.plan(`echo "$PPID" >> "$dir/holders"\n`)
    process.kill(holder.pid, 'SIGSTOP')
    t.match(await answersOf(others), [/^200 1\d{5} \w+ 0000$/])
    t.equal(wrapper.count('upload-pack'), 2)
    t.equal(await losersOf(fleet, holder), 0)
    process.kill(holder.pid, 'SIGCONT')
    wrapper.signal('go')
    t.match(await answersOf(own), [/^200 1\d{5} \w+ 0000$/], 'its own clients get whole answers')
    await eventually('its publish is refused', async () => (await losersOf(fleet)) === 1)
    t.equal(await fleet.metric('refstream_fleet_takeovers_total', { reason: 'silent' }), 2)
  },
)

const losersOf = async ({ sidecars }: TestedFleet, without?: FleetProcess): Promise<number> => {
  const running = sidecars.filter(({ pid }) => pid !== without?.pid)
  const counts = await Promise.all(running.map((one) => one.metric('refstream_fleet_loser_publishes_total')))
  return counts.reduce((sum, count) => sum + count, 0)
}

t.test(
  'a fill that fails: all nodes say the same, one tries again, and a repair is seen',
  { skip: skipKind.redis },
  async (t) => {
    const root = tempDir(t)
    const repository = makeRepository(root, 'r.git')
    const wrapper = makeGitWrapper(t)
    const args = ['--git', wrapper.path, '--fill-retries', '0']
    const fleet = await startFleetOf(t, 'redis', { root, args })
    let storms = 0
    /** Asks from all nodes at once. @returns what was said, and all values of Retry-After; -1: there was none */
    const storm = async (): Promise<{ said: string[]; retryAfter: number[] }> => {
      const gate = `gate-${storms++}`
      wrapper.plan(`while [ ! -f "$dir/${gate}" ]; do sleep 0.01; done; exit 1\n`)
      let answered = 0
      const clients = followAll(fleet, 30, advertisement).map(({ answer }) => answer)
      for (const answer of clients) void answer.then(() => answered++)
      // Two nodes follow the third one.
      await eventually('all have their answers, or follow the try', async () => {
        const followers = await fleet.metric('refstream_followers')
        return answered + followers >= (answered === 0 ? 32 : 30)
      })
      wrapper.signal(gate)
      const answers = await Promise.all(clients)
      const said = new Set(answers.map((answer) => `${answer?.status} ${answer?.body}`))
      return { said: [...said], retryAfter: answers.map((answer) => answer?.retryAfter ?? -1) }
    }
    for (let tries = 0; tries < 4;) {
      const { said, retryAfter } = await storm()
      const [least, most] = [Math.min(...retryAfter), Math.max(...retryAfter)]
      if (most === -1) {
        t.match(said, [/^503 .*try again/], 'one message')
        t.equal(wrapper.count('upload-pack'), ++tries, 'one process for all nodes')
      } else if (least === -1) {
        // The time was over while they asked.
        tries = wrapper.count('upload-pack')
      } else {
        t.match(said, [/^503 .*a moment ago/], 'one message')
        t.ok(most - least <= 1, `Retry-After of one clock: ${least} to ${most}`)
        t.equal(wrapper.count('upload-pack'), tries, 'no process meanwhile')
        await sleep(most * 1000)
      }
    }
    wrapper.plan(undefined)
    git(repository, 'update-ref', 'refs/heads/repaired', 'refs/heads/main')
    const before = wrapper.count('upload-pack')
    for (const { answer } of followAll(fleet, 6, advertisement)) t.match(await answer, { status: 200 })
    t.equal(wrapper.count('upload-pack'), before + 1, 'the next state is tried at once, by one node')
  },
)
