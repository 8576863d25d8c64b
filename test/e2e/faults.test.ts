import t, { type Test } from 'tap'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { plans } from '../support/git-wrapper.js'
import { ask, eventuallyGet } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { startWrapped, type WrappedSidecar } from '../support/wrapped-sidecar.js'

/** How an answer ended for its client. */
const ending = (url: string): Promise<string> =>
  ask(url).then(
    ({ status }) => String(status),
    () => 'broken off',
  )

async function recovers(t: Test, { wrapper, sidecar, url }: WrappedSidecar): Promise<void> {
  t.equal(await sidecar.metric('refstream_store_entries'), 0, 'no entry is left')
  await eventually(
    'no file is left',
    () => readdirSync(join(sidecar.cacheDir, 'instance-0', 'temp')).length === 0,
  )
  await eventually(
    'no process is left',
    async () => (await sidecar.metric('refstream_processes_running')) === 0,
  )
  wrapper.plan(undefined)
  // A key that has failed twice in a row backs off.
  const next = await eventuallyGet(url, 200)
  t.match(next.body.subarray(-4).toString(), '0000', 'the next attempt succeeds')
}

const midway: [string, string][] = [
  ['dies', plans.dieAfter(5000)],
  ['stops without a flush packet, exit code 0', plans.cutAfter(5000)],
  ['is killed', plans.killSelfAfter(5000)],
  ['says what is no pkt-line', `git "$@" | head -c 5000; printf 'garbage%5000s' x; exit 0\n`],
]
for (const [name, plan] of midway) {
  t.test(`Git ${name} midway: every client sees an error`, async (t) => {
    const setup = await startWrapped(t)
    setup.wrapper.plan(plan)
    const endings = await Promise.all(Array.from({ length: 20 }, () => ending(setup.url)))
    // Clients without a byte get a status; for the others the connection breaks.
    for (const each of endings) t.match(each, /^(503|broken off)$/)
    await recovers(t, setup)
  })
}

t.test('Git dies before its first byte: 503, with a message for users', async (t) => {
  const setup = await startWrapped(t)
  setup.wrapper.plan(`echo 'fatal: secret reason' >&2; exit 128\n`)
  const { status, body, headers } = await ask(setup.url)
  t.equal(status, 503)
  t.equal(headers['content-type'], 'text/plain; charset=utf-8')
  t.match(body.toString(), /^refstream: .+try again.+\n$/)
  t.notMatch(body.toString(), /secret|at .+:\d+/, 'Git’s messages and stack traces go only to the log')
  t.ok(
    setup.sidecar.log.some(({ stderr }) => String(stderr).includes('secret reason')),
    'they are in the log',
  )
  await recovers(t, setup)
})

t.test('Git hangs: it is killed, and every client sees an error', async (t) => {
  const setup = await startWrapped(t, '--fill-silence-seconds', '0.3')
  setup.wrapper.plan(plans.hangAfter(5000))
  const endings = await Promise.all(Array.from({ length: 5 }, () => ending(setup.url)))
  for (const each of endings) t.equal(each, 'broken off')
  await recovers(t, setup)
})

t.test('Git takes too long', async (t) => {
  const setup = await startWrapped(t, '--fill-timeout-seconds', '0.3')
  setup.wrapper.plan('printf 0000; while :; do printf 0000; sleep 0.01; done\n')
  t.equal(await ending(setup.url), 'broken off')
  await recovers(t, setup)
})

t.test('Git hangs while the sidecar is stopped: no process is left', async (t) => {
  const setup = await startWrapped(t, '--drain-seconds', '0')
  setup.wrapper.plan(`echo $$ > "$dir/hanging"; trap '' TERM; while :; do sleep 0.05; done\n`)
  const client = ending(setup.url)
  await eventually('Git hangs', () => setup.wrapper.hasFile('hanging'))
  t.equal(await setup.sidecar.stop(), 0)
  t.equal(await client, 'broken off')
})
