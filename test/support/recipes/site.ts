import type { Test } from 'tap'
import { hashSync } from 'bcryptjs'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { complaint, gitClient } from '../git-client.js'
import { git, makeRepository } from '../repositories.js'
import { startSidecar, type SpawnedSidecar } from '../sidecar.js'
import { tempDir } from '../temp-dir.js'
import { pushAndClone, urlFor } from '../upstreams/smoke.js'

/** As `htpasswd -B` hashes it; the smallest cost, for the servers check it with each request. */
export const password = 'open sesame'
export const passwordHash = hashSync(password, 4).replace(/^\$2[ab]/, '$2y')

/** Returns a file of fixtures/ with parts replaced. @throws if one of them is not there */
export function adapted(path: string, replacements: Readonly<Record<string, string>>): string {
  let text = readFileSync(join('fixtures', path), 'utf8')
  for (const [from, to] of Object.entries(replacements)) {
    if (!text.includes(from)) throw new Error(`${path} does not have ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}

/** refstream as refstream.service starts it, with a repository whose hook says who has pushed. */
export interface BehindSite {
  readonly sidecar: SpawnedSidecar
  /** host:port */
  readonly listen: string
  readonly admin: string
  readonly pushers: string
}

export async function startBehindSite(t: Test): Promise<BehindSite> {
  const root = tempDir(t)
  const pushers = join(tempDir(t), 'pushers')
  const repository = makeRepository(root, 'team/project.git')
  const hook = join(repository, 'hooks/pre-receive')
  writeFileSync(hook, `#!/bin/sh\nprintf '%s\\n' "$REMOTE_USER" >> '${pushers}'\n`, { mode: 0o755 })
  const [service = ''] = /^ExecStart=.*$/m.exec(readFileSync('fixtures/refstream.service', 'utf8')) ?? []
  const names = ['remote-user-header', 'trusted-proxies']
  const args = names.flatMap((name) => [`--${name}`, new RegExp(`--${name} (\\S+)`).exec(service)?.[1] ?? ''])
  const sidecar = await startSidecar(t, root, { args: [...args, '--access-log', 'all'] })
  return { sidecar, listen: new URL(sidecar.url).host, admin: new URL(sidecar.adminUrl).host, pushers }
}

/** Clones and pushes through a site with its user alice, tries what it must refuse, and looks at what refstream was told. */
export async function checkSite(t: Test, site: string, { sidecar, pushers }: BehindSite): Promise<void> {
  const url = `${site}/team/project.git`
  const place = tempDir(t)
  const client = gitClient(2)
  await client(place, 'clone', '--quiet', url, 'anonymous')
  const work = join(place, 'anonymous')
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'refused')
  const push = ['push', '--quiet', url, 'HEAD:refs/heads/refused']
  t.match(await complaint(client(work, ...push)), /could not read Username|Authentication failed/)
  const forged = ['-c', 'http.extraHeader=X-Remote-User: mallory']
  await complaint(client(work, ...forged, ...push))
  await client(work, ...forged, 'ls-remote', url)
  await complaint(client(work, 'push', '--quiet', urlFor(url, 'alice', 'wrong'), 'HEAD:refs/heads/refused'))
  t.notOk(existsSync(pushers), 'no push without a password')

  await pushAndClone(t, urlFor(url, 'alice', password))
  // Longer than what Git sends in one piece: with Transfer-Encoding: chunked.
  writeFileSync(join(work, 'large'), randomBytes(3 << 20))
  git(work, 'add', 'large')
  git(work, 'commit', '--quiet', '-m', 'large')
  const chunked = ['-c', 'http.postBuffer=65536', ...forged]
  await client(work, ...chunked, 'push', '--quiet', urlFor(url, 'alice', password), 'HEAD:refs/heads/large')
  t.same(readFileSync(pushers, 'utf8'), 'alice\nalice\n', 'the user whose password was checked')

  const requests = sidecar.log.filter((line) => line['event.name'] === 'refstream.request')
  t.ok(requests.length > 10)
  t.same([...new Set(requests.map((line) => line['client.address']))], ['127.0.0.1'])
  const users = new Set(requests.map((line) => line['user.name']).filter((name) => name !== undefined))
  t.same([...users], ['alice'], 'no name that a client has chosen itself')
  t.ok((await sidecar.metric('refstream_requests_total', { outcome: 'hit' })) > 0, 'answered from the cache')
}
