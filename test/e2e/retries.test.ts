import t, { type Test } from 'tap'
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { eventually } from '../support/eventually.js'
import { plans } from '../support/git-wrapper.js'
import { ask, eventuallyGet } from '../support/http-client.js'
import { startWrapped } from '../support/wrapped-sidecar.js'

/** The answer, or undefined if it was aborted. */
const whole = (url: string) => ask(url).catch(() => undefined)
const storm = (url: string) => Promise.all(Array.from({ length: 20 }, () => whole(url)))
/** A plan for the first process; those after it are Git. */
const once = (plan: string): string => `if mkdir "$dir/first" 2>/dev/null; then\n${plan}fi\n`

const recovers = (t: Test, url: string): Promise<void> =>
  eventually('requests are answered again', async () => {
    const answer = await whole(url)
    if (answer?.status !== 200) return false
    t.match(answer.body.subarray(-4).toString(), '0000')
    return true
  })

t.test('Git dies once midway: every client gets the whole answer', async (t) => {
  const { wrapper, sidecar, url } = await startWrapped(t)
  wrapper.plan(once(plans.dieAfter(5000)))
  const answers = await storm(url)
  const { body } = await ask(url)
  t.ok(body.length > 100_000)
  for (const answer of answers) t.ok(answer?.body.equals(body))
  t.equal(await sidecar.metric('refstream_fill_retries_total'), 1)
  t.equal(await sidecar.metric('refstream_fill_failures_total'), 0)
})

t.test('a retry produces other bytes: every client sees an error, none a mixture', async (t) => {
  const { wrapper, sidecar, url } = await startWrapped(t)
  wrapper.plan(once(`git "$@" | head -c 5000 | sed 's/b.00/c\\/00/'; exit 128\n`))
  for (const answer of await storm(url)) t.not(answer?.status, 200)
  t.equal(await sidecar.metric('refstream_fill_failures_total', { fault: 'producer' }), 1)
  t.equal(await sidecar.metric('refstream_store_entries'), 0)
  await recovers(t, url)
})

t.test('Git always dies: its key backs off, starts no process meanwhile, and recovers', async (t) => {
  const { wrapper, sidecar, url } = await startWrapped(t, '--fill-retries', '1')
  wrapper.plan(plans.dieAfter(5000))
  for (const answer of await storm(url)) t.not(answer?.status, 200)
  let count = 0
  await eventually('a response has Retry-After', async () => {
    count = wrapper.count('upload-pack')
    const answer = await whole(url)
    if (answer?.headers['retry-after'] === undefined) return false
    t.equal(answer.status, 503)
    t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    return true
  })
  t.equal(wrapper.count('upload-pack'), count, 'no process')
  t.ok((await sidecar.metric('refstream_fill_failures_total', { fault: 'backing-off' })) > 0)
  wrapper.plan(undefined)
  await recovers(t, url)
})

for (const [fault, args, bytes] of [
  ['first-byte', ['--fill-first-byte-seconds', '0.5'], 0],
  ['silence', ['--fill-silence-seconds', '0.5'], 5000],
] as const) {
  t.test(`Git hangs: it is killed with all its children: ${fault}`, async (t) => {
    const { wrapper, sidecar, url } = await startWrapped(t, ...args)
    // A process that ignores SIGTERM, and a child that ignores it too.
    wrapper.plan(`trap '' TERM; git "$@" | head -c ${bytes}
      sh -c 'trap "" TERM; while :; do sleep 0.1; done' & echo "$$ $!" > "$dir/pids"; wait\n`)
    for (const answer of await storm(url)) t.not(answer?.status, 200)
    const failures = (): Promise<number> => sidecar.metric('refstream_fill_failures_total', { fault })
    await eventually('it is counted', async () => (await failures()) === 1)
    const pids = wrapper.read('pids').trim().split(' ')
    await eventually('both are gone', () => pids.every((pid) => !isRunning(pid)))
    await eventually(
      'no permit is held',
      async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
    )
    wrapper.plan(undefined)
    await recovers(t, url)
  })
}

/** A zombie, which init should reap, does not count as running. */
function isRunning(pid: string): boolean {
  const path = `/proc/${pid}/stat`
  return existsSync(path) && !/\) Z /.test(readFileSync(path, 'latin1'))
}

t.test('the Git binary is missing for a while', async (t) => {
  const { wrapper, sidecar, url } = await startWrapped(t)
  renameSync(wrapper.path, `${wrapper.path}.away`)
  for (const answer of await storm(url)) t.equal(answer?.status, 503)
  const passedThrough = await whole(`${sidecar.url}/r.git/HEAD`)
  t.equal(passedThrough?.status, 503)
  renameSync(`${wrapper.path}.away`, wrapper.path)
  await recovers(t, url)
  t.equal((await ask(`${sidecar.url}/r.git/HEAD`)).status, 200)
  await eventually(
    'no permit is held',
    async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
  )
})

t.test('file descriptors run out for a while', async (t) => {
  const { sidecar, url } = await startWrapped(t)
  const limit = (to: string): void => {
    execFileSync('prlimit', [`--pid=${sidecar.pid}`, `--nofile=${to}`])
  }
  // Two free descriptors: enough to accept a connection, not for the pipes of a process.
  const leaveTwo = (): void => {
    const open = new Set(readdirSync(`/proc/${sidecar.pid}/fd`).map(Number))
    const free = Array.from({ length: open.size + 2 }, (_, fd) => fd).filter((fd) => !open.has(fd))
    limit(`${free[1]! + 1}:`)
  }
  // Again, since descriptors that are about to be closed may have been counted.
  await eventually('descriptors run out', async () => {
    leaveTwo()
    return (await whole(`${sidecar.url}/r.git/HEAD`))?.status !== 200
  })
  for (let count = 0; count < 3; count++) {
    t.not((await whole(url))?.status, 200)
    t.not((await whole(`${sidecar.url}/r.git/HEAD`))?.status, 200)
  }
  limit('1000:')
  await recovers(t, url)
  t.equal((await ask(`${sidecar.url}/r.git/HEAD`)).status, 200)
  await eventually(
    'no permit is held',
    async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
  )
})

t.test('http-backend prints a malformed response head', async (t) => {
  const { wrapper, sidecar } = await startWrapped(t, '--max-processes', '3', '--queue-wait-seconds', '600')
  const heads = [
    'garbage\\n\\n',
    'Status: 099 x\\n\\n',
    'a\\001b: c\\n\\n',
    'A: b\\001c\\n\\n',
    'Status: 200 \\001\\n\\n',
    '',
  ]
  for (const head of heads) {
    wrapper.plan(`printf '${head}'; head -c 1000000 /dev/zero; exit 0\n`, 'http-backend')
    t.match((await whole(`${sidecar.url}/r.git/HEAD`))?.status, /^50[03]$/)
    await eventually(
      'no permit is held',
      async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
    )
  }
})

t.test('Git hangs in pass-through: it is killed and counted, and its client sees an error', async (t) => {
  const { wrapper, sidecar } = await startWrapped(t, '--pass-through-silence-seconds', '1')
  for (const [plan, told] of [
    ['exec sleep 1000\n', /^503$/],
    [`printf 'Content-Length: 9\\r\\n\\r\\nhalf'; exec sleep 1000\n`, /^broken off$/],
  ] as const) {
    wrapper.plan(plan, 'http-backend')
    const cut = await sidecar.metric('refstream_pass_through_cut_total')
    const answer = await whole(`${sidecar.url}/r.git/HEAD`)
    t.match(String(answer?.status ?? 'broken off'), told)
    t.equal(await sidecar.metric('refstream_pass_through_cut_total'), cut + 1)
    await eventually(
      'no permit is held',
      async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
    )
  }
  wrapper.plan(undefined, 'http-backend')
  await eventuallyGet(`${sidecar.url}/r.git/HEAD`, 200)
})
