import t from 'tap'
import type { Test } from 'tap'
import { status } from '@grpc/grpc-js'
import { execFile } from 'node:child_process'
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { GrpcClient } from '../support/grpc-client.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { mountHangable, noMount } from '../support/hangable-mount.js'
import { ask, eventuallyGet, infoRefs } from '../support/http-client.js'
import { git, makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const options = { skip: noMount }

/** A root with one local repository and others on a filesystem that the test can make hang. */
async function makeWorld(t: Test) {
  const root = realpathSync(tempDir(t))
  const far = realpathSync(tempDir(t))
  makeRepository(far, 'r.git')
  makeRepository(root, 'local.git')
  mkdirSync(join(root, 'far'))
  symlinkSync('far/r.git', join(root, 'link.git'))
  const mount = await mountHangable(t, far, join(root, 'far'))
  return { root, far, mount }
}

const run = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, ...args],
      { env: cleanEnvironment },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

t.test('a filesystem that hangs affects only requests that need it', options, async (t) => {
  const { root, far, mount } = await makeWorld(t)
  const args = ['--observe-timeout-seconds', '2', '--access', '**=read:anyone', '--grpc', '127.0.0.1:0']
  const sidecar = await startSidecar(t, root, { args })
  const { url, adminUrl } = sidecar
  const hung = ['far/r.git', 'far/r', 'link.git']
  const before = await Promise.all(hung.map((path) => ask(infoRefs(url, path))))
  for (const { status } of before) t.equal(status, 200)
  t.equal((await ask(infoRefs(url, 'local.git'))).status, 200)

  mount.stop()
  const waiting = Promise.all(hung.map((path) => ask(infoRefs(url, path))))
  let done = false
  void waiting.then(() => (done = true))
  for (const address of [`${adminUrl}/healthz`, `${adminUrl}/readyz`, `${adminUrl}/metrics`])
    t.equal((await ask(address)).status, 200, address)
  t.equal((await ask(infoRefs(url, 'local.git'))).status, 200)
  git(join(root, 'local.git'), 'update-ref', 'refs/heads/new', 'main')
  t.match((await ask(infoRefs(url, 'local.git'))).body.toString(), 'refs/heads/new')
  t.notOk(done, 'requests that need it wait meanwhile')
  for (const { status, headers, body } of await waiting) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '2')
    t.match(body.toString(), 'does not answer')
    t.notMatch(body.toString(), root, 'clients do not see its path')
  }
  t.ok((await sidecar.metric('refstream_observations_total', { result: 'timeout' })) >= 3)
  const lease = { method: 'POST', headers: { 'Content-Type': 'application/json' } }
  for (const repository of ['far/r.git', join(root, 'link.git')]) {
    const answer = await ask(`${adminUrl}/v1/leases`, {
      ...lease,
      body: JSON.stringify({ repository, ttlSeconds: 60 }),
    })
    t.equal(answer.status, 503, repository)
  }
  const leases = new GrpcClient(t, sidecar.grpcTarget, 'refstream.v1.LeaseService')
  const ttl = { seconds: 60, nanos: 0 }
  await t.rejects(leases.unary('Acquire', { repository: 'far/r.git', ttl }), { code: status.UNAVAILABLE })
  t.equal(sidecar.log.filter(({ msg }) => /does not answer/.test(String(msg))).length, 1, 'one line')

  mount.resume()
  for (const path of hung) await eventuallyGet(infoRefs(url, path), 200)
  git(join(far, 'r.git'), 'update-ref', 'refs/heads/later', 'main')
  await ask(`${adminUrl}/v1/invalidate`, { ...lease, body: JSON.stringify({ repository: 'far/r.git' }) })
  await eventually('it is seen', async () =>
    (await ask(infoRefs(url, 'link.git'))).body.includes('refs/heads/later'),
  )
  t.ok(sidecar.log.some(({ msg }) => /answers again/.test(String(msg))))

  mount.stop()
  const last = ask(infoRefs(url, 'far/r.git'))
  await eventually('it is asked for', async () => (await sidecar.metric('refstream_requests_under_way')) > 0)
  t.equal(await sidecar.stop(), 0, 'SIGTERM ends the sidecar all the same')
  t.equal((await last).status, 503)
})

t.test('a root that hangs is reported at the start, by /readyz and by doctor', options, async (t) => {
  const { root, mount } = await makeWorld(t)
  const far = join(root, 'far')
  const args = ['--observe-timeout-seconds', '2']
  const sidecar = await startSidecar(t, far, { args })
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 200)
  t.equal((await ask(`${sidecar.adminUrl}/readyz`)).status, 200)
  const admin = ['--admin', sidecar.adminUrl.replace('http://', '')]
  const healthy = await run('doctor', '--root', far, ...args, ...admin)
  t.match(healthy, { code: 0, stdout: /^r\.git: lease, on a network filesystem, fuse/m })

  mount.stop()
  const ready = await ask(`${sidecar.adminUrl}/readyz`)
  t.match([ready.status, ready.body.toString()], [503, /does not answer/])
  t.equal((await ask(`${sidecar.adminUrl}/healthz`)).status, 200)
  t.equal((await ask(infoRefs(sidecar.url, 'r.git'))).status, 503)

  const line = /^refstream: --root: the filesystem at \S+ does not answer within 2 s.*\n$/
  const listen = ['--listen', '127.0.0.1:0', '--cache-dir', tempDir(t)]
  t.match(await run('serve', '--root', far, ...args, ...listen), { code: 2, stderr: line })
  t.match(await run('doctor', '--root', far, ...args, ...admin), { code: 2, stderr: line })
  const some = await run('doctor', '--root', root, ...args, ...admin)
  t.equal(some.code, 1)
  t.match(some.stdout, /^problem: far: the filesystem at \S+ does not answer$/m)
  t.match(some.stdout, /^problem: link\.git: the filesystem at/m)
  t.match(some.stdout, /^local\.git: observe, on a local filesystem$/m)
  t.equal(await sidecar.stop(), 0)
})

t.test(
  'a Git process on a filesystem that hangs is given up, and requests that wait for its fill fail',
  options,
  async (t) => {
    const { root, mount } = await makeWorld(t)
    const wrapper = makeGitWrapper(t)
    const args = ['--observe-timeout-seconds', '2', '--git', wrapper.path, '--max-processes', '4']
    const sidecar = await startSidecar(t, root, { args })
    wrapper.plan('touch "$dir/hangs"\nexec sleep 1000\n')
    const waiting = ask(infoRefs(sidecar.url, 'far/r.git'))
    await eventually('it hangs', () => wrapper.hasFile('hangs'))
    mount.stop()
    t.equal((await ask(infoRefs(sidecar.url, 'far/r.git'))).status, 503)
    const { status, headers } = await waiting
    t.equal(status, 503)
    t.match(headers['retry-after'], /^\d+$/)
    await eventually(
      'its permit is free',
      async () => (await sidecar.metric('refstream_process_permits_held')) === 0,
    )
    t.equal(await sidecar.metric('refstream_fill_failures_total', { fault: 'unanswered' }), 1)
    wrapper.plan(undefined)
    t.equal((await ask(infoRefs(sidecar.url, 'local.git'))).status, 200)
    mount.resume()
    await eventuallyGet(infoRefs(sidecar.url, 'far/r.git'), 200)
  },
)
