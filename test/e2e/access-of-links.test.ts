import t from 'tap'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { ask, infoRefs } from '../support/http-client.js'
import { git, makeCommit, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Two repositories, one of which no user may read. */
async function setUp(t: Parameters<typeof tempDir>[0]) {
  const root = tempDir(t)
  const pub = makeRepository(root, 'pub.git')
  const secret = makeRepository(root, 'secret.git')
  for (const path of [pub, secret]) git(path, 'pack-refs', '--all')
  git(secret, 'update-ref', 'refs/heads/secret', makeCommit(secret, 'secret'))
  const args = ['--access', 'secret.git=read:alice, **=read:anyone, **=push:anyone']
  return { root, pub, sidecar: await startSidecar(t, root, { args }) }
}

const lsRefs = '0014command=ls-refs\n00010000'
const headers = {
  'git-protocol': 'version=2',
  'content-type': 'application/x-git-upload-pack-request',
  'content-length': String(lsRefs.length),
}

t.test('parts that are links require read access to their targets', async (t) => {
  const { root, pub, sidecar } = await setUp(t)
  const status = async (name = 'pub'): Promise<number> => (await ask(infoRefs(sidecar.url, name))).status
  t.equal(await status(), 200)
  t.equal(await status('secret'), 403)
  for (const part of ['refs', 'objects', 'packed-refs']) {
    const path = join(pub, part)
    renameSync(path, `${path}.own`)
    symlinkSync(`../secret.git/${part}`, path)
    t.equal(await status(), 403, part)
    rmSync(path)
    renameSync(`${path}.own`, path)
    t.equal(await status(), 200, `${part} of its own`)
  }
  symlinkSync('../../secret.git/refs/heads', join(pub, 'refs/inner'))
  t.equal(await status(), 404, 'below refs/, links do not lead out of the repository')
  rmSync(join(pub, 'refs/inner'))
  symlinkSync('pub.git', join(root, 'link.git'))
  t.equal(await status('link'), 200)
})

t.test('rules apply to a repository’s own name, whatever its group is called', async (t) => {
  const root = tempDir(t)
  for (const group of ['objects', 'refs', 'packed-refs', 'reftable'])
    makeRepository(root, `team/${group}/x.git`)
  const rules =
    '**/objects/**=read:alice, **/refs/**=read:alice, **/packed-refs/**=read:alice, **/reftable/**=read:alice'
  const { url } = await startSidecar(t, root, { args: ['--access', `${rules}, **=read:anyone`] })
  for (const group of ['objects', 'refs', 'packed-refs', 'reftable']) {
    t.equal((await ask(infoRefs(url, `team/${group}/x.git`))).status, 403, group)
  }
})

t.test(
  'the repository that was authorized is read, even if a link moves while the body arrives',
  async (t) => {
    const { root, sidecar } = await setUp(t)
    const link = join(root, 'link.git')
    const move = (target: string): void => {
      symlinkSync(target, `${link}.new`)
      renameSync(`${link}.new`, link)
    }
    /** Sends half of a request, calls a function, and sends the rest. */
    const askSlowly = async (path: string, meanwhile: () => void): Promise<string> => {
      const sent = request(`${sidecar.url}/${path}/git-upload-pack`, {
        method: 'POST',
        agent: false,
        headers,
      })
      const answered = once(sent, 'response') as Promise<[IncomingMessage]>
      sent.write(lsRefs.slice(0, 10))
      // A request is authorized before its body is read: it is under way once a later request was answered.
      while ((await sidecar.metric('refstream_requests_under_way')) < 1)
        await ask(`${sidecar.adminUrl}/healthz`)
      meanwhile()
      sent.end(lsRefs.slice(10))
      const [response] = await answered
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      return `${response.statusCode} ${Buffer.concat(chunks).toString()}`
    }
    move('pub.git')
    t.match(await askSlowly('link.git', () => {}), /^200 .*main/s)
    for (let round = 0; round < 5; round++) {
      const answer = await askSlowly('link.git', () => move('secret.git'))
      t.match(answer, /^403 /)
      t.notMatch(answer, /secret/)
      move('pub.git')
    }
    t.match(
      await askSlowly('none.git', () => symlinkSync('secret.git', join(root, 'none.git'))),
      /^403 /,
      'nothing before',
    )
    t.match(await askSlowly('link.git', () => move('nowhere.git')), /^404 /)
  },
)
