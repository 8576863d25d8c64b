import t from 'tap'
import { once } from 'node:events'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { fetchV2, postFetch, readFetchAnswer, uploadPackHeaders } from '../support/posted-fetch.js'
import { complaint, gitClient } from '../support/git-client.js'
import { connect, open } from '../support/http-client.js'
import { eventuallyFollowed, startPacks, type PackSetup } from '../support/pack-setup.js'
import { packPlans } from '../support/pack-wrapper.js'
import { git } from '../support/repositories.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const wanted = ({ repository }: PackSetup): Buffer =>
  fetchV2(['ofs-delta', `want ${git(repository, 'rev-parse', 'main')}`, 'done'])

/** Resolves with how an answer ended: its status, or that its client sees it cut short. */
const ending = (sidecar: SpawnedSidecar, body: Buffer): Promise<string> =>
  postFetch(sidecar.url, 'r.git', body).then(
    ({ status }) => String(status),
    () => 'broken off',
  )

const running = ({ sidecar }: PackSetup): Promise<number> => sidecar.metric('refstream_processes_running')
const eventuallyIdle = (setup: PackSetup): Promise<void> =>
  eventually('no process is left', async () => (await running(setup)) === 0)

/** Sends a fetch on a connection of its own, from which it reads nothing but the first bytes. */
async function slowClient({ sidecar }: PackSetup, body: Buffer) {
  const socket = connect(sidecar.url)
  const headers = { ...uploadPackHeaders, 'git-protocol': 'version=2', 'content-length': String(body.length) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n${lines.join('')}\r\n`)
  socket.write(body)
  await once(socket, 'readable')
  const chunks = [socket.read() as Buffer]
  return {
    /** Reads the rest; resolves with all of it. */
    readOn: async (): Promise<Buffer> => {
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      // A flush packet, and the last chunk of the coding, which may come alone.
      const isWhole = (): boolean =>
        Buffer.concat(chunks.slice(-3)).subarray(-11).toString() === '0000\r\n0\r\n\r\n'
      await eventually('the slow client has all of it', isWhole)
      socket.destroy()
      return Buffer.concat(chunks)
    },
    /** Reads until the connection ends; resolves with whether the answer had its end. */
    endsWhole: async (): Promise<boolean> => {
      let end = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => (end = Buffer.concat([end, chunk]).subarray(-5)))
      // A reset is an error too.
      await once(socket, 'close').catch(() => {})
      return end.toString() === '0\r\n\r\n'
    },
  }
}

t.test('a slow first client of a large pack holds neither Git nor others', async (t) => {
  const setup = await startPacks(t, { bulk: 30_000_000 })
  const body = wanted(setup)
  const slow = await slowClient(setup, body)
  await eventuallyIdle(setup)
  t.equal(await setup.sidecar.metric('refstream_followers'), 1, 'Git has ended, and the client still reads')
  const second = await postFetch(setup.sidecar.url, 'r.git', body)
  // If the beginning of the first entry is no longer there, the second client has a run of its own, which is kept.
  const runs = setup.wrapper.packs()
  t.ok(runs <= 2)
  const third = await postFetch(setup.sidecar.url, 'r.git', body)
  t.ok(third.body.length > 30_000_000)
  t.ok(third.body.equals(second.body))
  t.equal(setup.wrapper.packs(), runs)
  t.ok((await slow.readOn()).length > 30_000_000)
})

const noRoom = ['--pack-cache-max-bytes', '1MiB', '--pack-memory-max-bytes', '1MiB']

t.test('a budget that is full pauses Git for its client, and all answers are right', async (t) => {
  const setup = await startPacks(t, { bulk: 30_000_000, args: noRoom })
  setup.wrapper.planPacks(packPlans.pauseAfter(1_500_000, 'go'))
  const body = wanted(setup)
  const slow = await slowClient(setup, body)
  await eventually('its beginning is gone', () => setup.wrapper.hasFile('paused'))
  setup.wrapper.signal('go')
  setup.wrapper.planPacks(undefined)
  const others = await Promise.all([1, 2].map(() => postFetch(setup.sidecar.url, 'r.git', body)))
  for (const { body: bytes } of others) t.ok(bytes.length > 30_000_000)
  t.ok((await running(setup)) >= 1, 'the slow client’s Git waits for it')
  t.ok((await slow.readOn()).length > 30_000_000)
  await eventuallyIdle(setup)
  const work = tempDir(t)
  await gitClient(2)(work, 'clone', '--quiet', '--bare', `${setup.sidecar.url}/r.git`, 'clone')
  git(join(work, 'clone'), 'fsck', '--strict')
})

t.test('a budget that is full: of those that share a pack, one that stops reading is cut off', async (t) => {
  const setup = await startPacks(t, { bulk: 30_000_000, args: noRoom })
  setup.wrapper.planPacks(packPlans.pauseAfter(500, 'go'))
  const body = wanted(setup)
  const slow = await slowClient(setup, body)
  const others = [1, 2].map(() => postFetch(setup.sidecar.url, 'r.git', body))
  await eventuallyFollowed(setup.sidecar, 3)
  setup.wrapper.signal('go')
  const [one, other] = await Promise.all(others)
  t.ok(one!.body.length > 30_000_000)
  t.ok(one!.body.equals(other!.body))
  t.equal(setup.wrapper.packs(), 1)
  t.notOk(await slow.endsWhole())
  await eventuallyIdle(setup)
})

t.test('the first client leaves: those that follow get everything', async (t) => {
  const setup = await startPacks(t, { bulk: 1_000_000 })
  setup.wrapper.planPacks(packPlans.pauseAfter(200_000, 'go'))
  const body = wanted(setup)
  const headers = { ...uploadPackHeaders, 'git-protocol': 'version=2' }
  const options = { method: 'POST', headers }
  const first = await open(`${setup.sidecar.url}/r.git/git-upload-pack`, options, body)
  const others = [1, 2].map(() => postFetch(setup.sidecar.url, 'r.git', body))
  await eventuallyFollowed(setup.sidecar, 3)
  first.destroy()
  await eventuallyFollowed(setup.sidecar, 2)
  setup.wrapper.signal('go')
  const [one, other] = await Promise.all(others)
  t.ok(one!.body.equals(other!.body))
  t.ok(readFetchAnswer(one!.body).pack.length > 1_000_000)
  t.equal(setup.wrapper.packs(), 1)
})

t.test('the only client leaves: Git ends after the grace time', async (t) => {
  const setup = await startPacks(t, { args: ['--pack-grace-seconds', '0.2'] })
  setup.wrapper.planPacks(packPlans.hangAfter(500))
  const options = { method: 'POST', headers: { ...uploadPackHeaders, 'git-protocol': 'version=2' } }
  const client = await open(`${setup.sidecar.url}/r.git/git-upload-pack`, options, wanted(setup))
  t.equal(await running(setup), 1)
  client.destroy()
  await eventuallyIdle(setup)
  setup.wrapper.planPacks(undefined)
  t.equal(await ending(setup.sidecar, wanted(setup)), '200', 'the next one gets a run of its own')
  t.equal(setup.wrapper.packs(), 2)
})

t.test('a client that comes within the grace time gets the run that is there', async (t) => {
  const setup = await startPacks(t, { args: ['--pack-grace-seconds', '3600'] })
  setup.wrapper.planPacks(packPlans.pauseAfter(500, 'go'))
  const options = { method: 'POST', headers: { ...uploadPackHeaders, 'git-protocol': 'version=2' } }
  const client = await open(`${setup.sidecar.url}/r.git/git-upload-pack`, options, wanted(setup))
  client.destroy()
  await eventuallyFollowed(setup.sidecar, 0)
  const next = ending(setup.sidecar, wanted(setup))
  await eventuallyFollowed(setup.sidecar, 1)
  setup.wrapper.signal('go')
  t.equal(await next, '200')
  t.equal(setup.wrapper.packs(), 1)
})

t.test(
  'Git dies in the middle: clients with bytes see a broken answer, and Git’s client fails',
  async (t) => {
    const setup = await startPacks(t, { bulk: 1_000_000 })
    setup.wrapper.planPacks(packPlans.dieAfter(300_000, 'go'))
    const work = tempDir(t)
    const clone = complaint(
      gitClient(2)(work, 'clone', '--quiet', '--bare', `${setup.sidecar.url}/r.git`, 'clone'),
    )
    const others = [1, 2, 3].map(() => ending(setup.sidecar, wanted(setup)))
    await eventuallyFollowed(setup.sidecar, 4)
    await eventually('they have bytes', () => setup.wrapper.hasFile('paused'))
    setup.wrapper.signal('go')
    t.same(await Promise.all(others), ['broken off', 'broken off', 'broken off'])
    t.match(await clone, /error|fatal/)
    setup.wrapper.planPacks(undefined)
    await eventuallyIdle(setup)
    await eventually(
      'the next one succeeds',
      async () => (await ending(setup.sidecar, wanted(setup))) === '200',
    )
  },
)

t.test('Git dies before its first byte: all clients get the answer of a new run', async (t) => {
  const setup = await startPacks(t)
  setup.wrapper.planPacks(packPlans.dieOnce('go'))
  const clients = Array.from({ length: 10 }, () => ending(setup.sidecar, wanted(setup)))
  await eventuallyFollowed(setup.sidecar, 10)
  setup.wrapper.signal('go')
  t.same(new Set(await Promise.all(clients)), new Set(['200']))
  t.equal(setup.wrapper.packs(), 2)
})

t.test('Git dies again and again before its first byte: clients get an error', async (t) => {
  const setup = await startPacks(t)
  setup.wrapper.planPacks(`echo 'fatal: secret reason' >&2; exit 128`)
  const { status, body } = await postFetch(setup.sidecar.url, 'r.git', wanted(setup))
  t.equal(status, 503)
  t.match(body.toString(), /^refstream: .+try again.+\n$/)
  t.notMatch(body.toString(), /secret/)
  await eventuallyIdle(setup)
})

t.test('a run that ends with exit code 0 and without a flush packet is not kept', async (t) => {
  const setup = await startPacks(t)
  setup.wrapper.planPacks(`git "$@" < "$in" | head -c 5000; exit 0`)
  t.equal(await ending(setup.sidecar, wanted(setup)), 'broken off')
  setup.wrapper.planPacks(undefined)
  await eventually(
    'the next one succeeds',
    async () => (await ending(setup.sidecar, wanted(setup))) === '200',
  )
  t.equal(await setup.packs('hit'), 0)
})

t.test('a pack whose error is on sideband 3 is not kept', async (t) => {
  const setup = await startPacks(t)
  const said = '000dpackfile\\n0010\\003fatal: oops0000'
  setup.wrapper.planPacks(`printf '${said}'; exit 0`)
  for (const count of [1, 2]) {
    const { body } = await postFetch(setup.sidecar.url, 'r.git', wanted(setup))
    t.match(body.toString('latin1'), /oops/)
    t.equal(setup.wrapper.packs(), count)
  }
})
