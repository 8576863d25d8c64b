import t from 'tap'
import type { Status } from '../../src/status/model.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs, open } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { askAnew, startWorkers } from '../support/workers.js'

const statusOf = async (adminUrl: string): Promise<Status> =>
  JSON.parse((await ask(`${adminUrl}/v1/status`)).body.toString()) as Status

/** Waits until the status is as it should be. */
async function whenStatus(adminUrl: string, what: string, is: (status: Status) => boolean): Promise<Status> {
  let status: Status | undefined
  await eventually(what, async () => is((status = await statusOf(adminUrl))))
  return status!
}

t.test('a running fill and its followers are shown, and what comes of it', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  wrapper.plan('until [ -f "$dir/go" ]; do sleep 0.02; done')
  const { url, adminUrl } = await startSidecar(t, root, { args: ['--git', wrapper.path, '--queue-max', '9'] })
  const answers = [1, 2, 3].map(() => ask(infoRefs(url, 'r.git')))
  const status = await whenStatus(adminUrl, 'three follow', ({ fills }) => fills.oldest[0]?.followers === 3)
  t.match(status.fills, { count: 1, oldest: [{ kind: 'advertisement', producer: 'git', bytes: 0 }] })
  t.match(status.fills.oldest[0]?.key, /^advertisement v0 .*r\.git$/)
  t.equal(status.requests.underWay, 3)
  t.same(status.settings['queue-max'], 9)
  t.notOk('queue-wait-seconds' in status.settings)
  wrapper.signal('go')
  await Promise.all(answers)
  const after = await whenStatus(
    adminUrl,
    'it has ended',
    ({ fills, entries }) => fills.count === 0 && entries.count === 1,
  )
  t.match(after, {
    requests: { byOutcome: { filled: 1, joined: 2 } },
    entries: { count: 1, isShort: false },
    top: { byRequests: [{ key: 'r.git', count: 3 }] },
    versions: { git: /^\d/ },
    processes: { expected: 1, answered: 1 },
  })
})

t.test('a failure is shown with Git’s own words', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  wrapper.plan('echo "fatal: the disk is on fire" >&2; exit 128')
  const { url, adminUrl } = await startSidecar(t, root, {
    args: ['--git', wrapper.path, '--fill-retries', '0'],
  })
  await ask(infoRefs(url, 'r.git'))
  const { failures } = await whenStatus(adminUrl, 'it is shown', ({ failures }) => failures.length > 1)
  const [git, fill] = failures.toSorted((a, b) => (a.event < b.event ? 1 : -1))
  t.match(git, {
    event: 'git',
    subject: /^upload-pack .*r\.git$/,
    message: 'fatal: the disk is on fire',
    count: 1,
  })
  t.match(fill, { event: 'fill', subject: /^advertisement v0 .*r\.git$/, message: /exit code 128/, count: 1 })
})

t.test('events carry the same', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const { adminUrl } = await startSidecar(t, root)
  const response = await open(`${adminUrl}/v1/events`, {})
  let text = ''
  for await (const chunk of response) {
    text += String(chunk)
    if (text.split('\n\n').length > 2) break
  }
  const [first = '', second = ''] = text.split('\n\n')
  for (const event of [first, second]) {
    t.match(event, /^event: status\ndata: \{/)
    t.match(JSON.parse(event.slice(event.indexOf('{'))), { fills: { count: 0 }, ready: { isReady: true } })
  }
})

t.test('pages of other sites get nothing', async (t) => {
  const { adminUrl } = await startSidecar(t, tempDir(t))
  const get = async (headers: Record<string, string>) =>
    (await ask(`${adminUrl}/v1/status`, { headers })).status
  t.equal(await get({ 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }), 403)
  t.equal(await get({ 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors' }), 200)
  t.equal(await get({ 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate' }), 200)
})

t.test('with workers, the whole is shown', async (t) => {
  const { sidecar, url } = await startWorkers(t)
  for (let time = 0; time < 4; time++) t.equal(await askAnew(url), 200)
  const status = await whenStatus(sidecar.adminUrl, 'all are counted', ({ requests }) => {
    return Object.values(requests.byOutcome).reduce((sum, each) => sum + each, 0) === 4
  })
  t.match(status, {
    processes: { expected: 2, answered: 2 },
    top: { byRequests: [{ key: 'r.git', count: 4 }] },
    fleet: { isEngineUp: true, configured: ['w1', 'w2'] },
  })
  t.equal(status.settings['workers'], 2)
})
