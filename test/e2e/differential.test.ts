import t from 'tap'
import { deepStrictEqual } from 'node:assert'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import { startServer, type Sidecar } from '../../src/index.js'
import { startSidecar } from '../../src/assembly/sidecar.js'
import { createLog } from '../../src/telemetry/log.js'
import { plainHeaders, runHttpBackend, type CgiRequest, type PlainAnswer } from '../support/cgi.js'
import { ask } from '../support/http-client.js'
import {
  git,
  gitEnvironment,
  gitWith,
  initBare,
  makeCommit,
  makeRepository,
} from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

// startServer() uses this process's environment, which may have variables for Git.
for (const name of Object.keys(process.env)) {
  if (/^(GIT|XDG|HTTP)_/.test(name)) Reflect.deleteProperty(process.env, name)
}
Object.assign(process.env, gitEnvironment)

const root = realpathSync(tempDir(t))
const options = {
  ...{ root, listen: '127.0.0.1:0', admin: '127.0.0.1:0' },
  ...{ cacheDir: join(tempDir(t), 'cache'), exportAll: true },
}
const sidecar = await startServer(options)
t.teardown(() => sidecar.close())

const protocols = [undefined, 'version=1', 'version=2']
const advertised = (name: string): string => `/${name}/info/refs?service=git-upload-pack`

async function served(target: string, gitProtocol?: string, by: Sidecar = sidecar): Promise<PlainAnswer> {
  const headers = gitProtocol === undefined ? {} : { 'Git-Protocol': gitProtocol }
  const { status, rawHeaders, body } = await ask(`${by.url}${target}`, { headers })
  return { status, headers: plainHeaders(status, rawHeaders), body: body.toString('latin1') }
}

/** Checks that answers in every protocol are Git's own, from a cold cache and from a warm one. @returns Git's, in v0 */
async function agrees(
  name: string,
  by: Sidecar = sidecar,
  cgi: Omit<CgiRequest, 'target'> = {},
): Promise<PlainAnswer> {
  let first: PlainAnswer | undefined
  for (const gitProtocol of protocols) {
    const expected = runHttpBackend(root, { target: advertised(name), gitProtocol, ...cgi })
    for (const cache of ['cold', 'warm']) {
      const answer = await served(advertised(name), gitProtocol, by)
      deepStrictEqual(answer, expected, `${name}, ${gitProtocol ?? 'v0'}, ${cache}`)
    }
    first ??= expected
  }
  return first!
}

const fixtures: Record<string, (name: string) => unknown> = {
  empty: (name) => initBare(root, name),
  'one commit and a tag': (name) => makeRepository(root, name),
  'not bare': (name) => git(root, 'clone', '--quiet', makeRepository(root, 'upstream.git'), name),
  'tags of tags': (name) => {
    const path = makeRepository(root, name)
    git(path, 'tag', '-a', '-m', 'two', 'v2', 'v1')
    git(path, 'tag', '-a', '-m', 'three', 'v3', 'v2')
    git(path, 'tag', '-a', '-m', 'of a tree', 'tree', 'main^{tree}')
  },
  'symbolic refs': (name) => {
    const path = makeRepository(root, name)
    git(path, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
    git(path, 'symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/heads/alias')
    git(path, 'symbolic-ref', 'refs/heads/nowhere', 'refs/heads/none')
  },
  'HEAD detached': (name) => {
    const path = makeRepository(root, name)
    git(path, 'update-ref', '--no-deref', 'HEAD', makeCommit(path, 'detached'))
  },
  'HEAD unborn': (name) => git(makeRepository(root, name), 'symbolic-ref', 'HEAD', 'refs/heads/unborn'),
  'HEAD detached at nothing': (name) =>
    writeFileSync(join(makeRepository(root, name), 'HEAD'), 'a'.repeat(40)),
  'refs to objects that are not there': (name) => {
    const path = makeRepository(root, name)
    writeFileSync(join(path, 'refs/heads/broken'), `${'a'.repeat(40)}\n`)
    writeFileSync(join(path, 'refs/heads/empty'), '')
  },
  'hidden refs': (name) => {
    const path = makeRepository(root, name)
    git(path, 'update-ref', 'refs/pull/1/head', 'main')
    git(path, 'config', 'transfer.hideRefs', 'refs/pull')
    git(path, 'config', 'uploadpack.hideRefs', 'refs/tags')
  },
  sha256: (name) => makeRepository(root, name, { objectFormat: 'sha256' }),
  shallow: (name) => {
    const path = makeRepository(root, 'deep.git')
    git(path, 'update-ref', 'refs/heads/main', makeCommit(path, 'two', git(path, 'rev-parse', 'main')))
    git(root, 'clone', '--quiet', '--bare', '--depth=1', `file://${path}`, name)
  },
  'configuration of upload-pack': (name) => {
    const path = makeRepository(root, name)
    const allow = ['allowFilter', 'allowTipSHA1InWant', 'allowReachableSHA1InWant', 'allowRefInWant']
    for (const key of allow) git(path, 'config', `uploadpack.${key}`, 'true')
    git(path, 'config', 'lsrefs.unborn', 'ignore')
  },
  'a branch on many others': (name) => {
    const path = makeRepository(root, name)
    const oid = git(path, 'rev-parse', 'main')
    const create = (prefix: string): void => {
      const lines = Array.from(
        { length: 2000 },
        (_, index) => `create refs/heads/${prefix}/${index} ${oid}\n`,
      )
      gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
    }
    create('packed')
    git(path, 'pack-refs', '--all')
    create('loose')
  },
  'a linked worktree': (name) =>
    git(makeRepository(root, 'main.git'), 'worktree', 'add', '--quiet', join(root, name), '-b', 'topic'),
  'a name that must be escaped': () => makeRepository(root, 'a b/é%.git'),
}

for (const [what, make] of Object.entries(fixtures)) {
  t.test(what, async (t) => {
    const name = `${what.replaceAll(' ', '-')}.git`
    make(name)
    const { status } = await agrees(what.includes('escaped') ? 'a%20b/%C3%A9%25.git' : name)
    t.equal(status, 200)
  })
}

t.test('the headers are these, in this order, and no others', async (t) => {
  makeRepository(root, 'headers.git')
  const { headers } = await agrees('headers')
  t.same(headers, [
    ...['Expires', 'Fri, 01 Jan 1980 00:00:00 GMT', 'Pragma', 'no-cache'],
    ...['Cache-Control', 'no-cache, max-age=0, must-revalidate'],
    ...['Content-Type', 'application/x-git-upload-pack-advertisement'],
  ])
})

t.test('unusual Git-Protocol headers get the same version as from Git', async () => {
  makeRepository(root, 'versions.git')
  for (const gitProtocol of [
    '',
    'version=0',
    'version=3',
    'version=1:version=2',
    'x=y:version=1',
    'version=2x',
  ]) {
    const expected = runHttpBackend(root, { target: advertised('versions'), gitProtocol })
    deepStrictEqual(await served(advertised('versions'), gitProtocol), expected, gitProtocol)
  }
})

t.test('a missing, disabled or unexported repository is refused as by Git', async (t) => {
  t.equal((await agrees('nothing')).status, 404)
  const path = makeRepository(root, 'off.git')
  git(path, 'config', 'http.uploadpack', 'false')
  t.match(await agrees('off'), { status: 403, body: '' })
  git(path, 'config', 'http.uploadpack', 'true')
  t.match(await agrees('off'), { status: 200 })

  const strict = await startServer({ ...options, cacheDir: join(tempDir(t), 'cache'), exportAll: false })
  t.teardown(() => strict.close())
  initBare(root, 'private.git', { exported: false })
  t.match(await agrees('private', strict, { exportAll: false }), { status: 404, body: '' })
  t.match(await agrees('off', strict, { exportAll: false }), { status: 200 })
})

t.test('requests that pass through get the same responses as from Git', async (t) => {
  makeRepository(root, 'through.git')
  git(join(root, 'through.git'), 'update-server-info')
  const services = ['git-receive-pack', 'git-upload-archive', 'git-frobnicate', '']
  const queries = services.map((service) => `info/refs?service=${service}`)
  for (const resource of [...queries, 'info/refs', 'HEAD', 'objects/info/packs', 'objects/info/alternates']) {
    for (const gitProtocol of protocols) {
      const target = `/through.git/${resource}`
      const { headers, ...answer } = await served(target, gitProtocol)
      const { headers: expected, ...rest } = runHttpBackend(root, { target, gitProtocol })
      if (target.endsWith('git-receive-pack')) {
        // Git's refusal of a push has no text; refstream's has one, which clients show.
        t.match(
          answer,
          { ...rest, body: /^refstream: pushing (?:needs a user name|over HTTP is disabled)/ },
          target,
        )
        t.same(headers, [...expected, 'Content-Type', 'text/plain; charset=utf-8'])
        continue
      }
      t.same(answer, rest, target)
      t.same(headers, expected, `headers of ${target}`)
    }
  }
})

t.test('GIT_NAMESPACE applies as in Git', async (t) => {
  const path = makeRepository(root, 'namespaces.git')
  git(path, 'update-ref', 'refs/namespaces/a/refs/heads/inner', 'main')
  git(path, 'symbolic-ref', 'refs/namespaces/a/HEAD', 'refs/namespaces/a/refs/heads/inner')
  const environment = { ...gitEnvironment, GIT_NAMESPACE: 'a' }
  const settings = resolveSettings(readFlags({ ...options, cacheDir: join(tempDir(t), 'cache') }))
  const inside = await startSidecar(settings, createLog('silent'), environment)
  t.teardown(() => inside.close())
  const { body } = await agrees('namespaces', inside, { environment })
  t.match(body, /refs\/heads\/inner/)
  t.notMatch(body, /refs\/heads\/main/)
  t.match((await agrees('namespaces')).body, /refs\/heads\/main/)
})

t.test('a repository of another user is served', async (t) => {
  if (process.getuid?.() !== 0) {
    t.pass('only root can give files away', { skip: true })
    return
  }
  const path = makeRepository(root, 'theirs.git')
  execFileSync('chown', ['-R', '65534', path])
  t.equal((await agrees('theirs')).status, 200)
})

t.test('with transfer.advertiseSID every client gets its own session id', async (t) => {
  const path = makeRepository(root, 'sid.git')
  git(path, 'config', 'transfer.advertiseSID', 'true')
  const pattern = /session-id=[\w.-]+/
  const blank = (answer: PlainAnswer): PlainAnswer => ({
    ...answer,
    body: answer.body.replace(pattern, 'SID'),
  })
  const ids = new Set<string | undefined>()
  for (const gitProtocol of protocols) {
    const expected = blank(runHttpBackend(root, { target: advertised('sid'), gitProtocol }))
    for (let count = 0; count < 2; count++) {
      const answer = await served(advertised('sid'), gitProtocol)
      // A session id contains the pid, whose number of digits may differ, and with it the length of the line.
      const [before, after] = [blank(answer), expected].map(({ body, ...rest }) => ({
        ...rest,
        body: body.replace(/[0-9a-f]{4}(?=[^\n]*SID)/, 'LENG'),
      }))
      t.same(before, after, gitProtocol ?? 'v0')
      ids.add(pattern.exec(answer.body)?.[0])
    }
  }
  t.equal(ids.size, 6)
})

/** Unusual components of ref names, as bytes in Latin-1; Git decides which of them it allows. */
const oddNames = fc.array(
  fc.array(
    fc.oneof(fc.constantFrom('.', '/', '-', '{', '@', '"', '$(x)', '#', '%2f', '.git', 'HEAD'), fc.string()),
    {
      minLength: 1,
      maxLength: 4,
    },
  ),
  { maxLength: 12 },
)
const isLegal = (name: string): boolean =>
  !/[\0\n]/.test(name) && spawnSync('git', ['check-ref-format', name], { env: gitEnvironment }).status === 0

t.test('random repositories get the same answers as from Git', async (t) => {
  let count = 0
  const shape = fc.record({
    names: oddNames,
    raw: fc.array(fc.integer({ min: 0x80, max: 0xff }), { maxLength: 4 }),
    head: fc.constantFrom('ref: refs/heads/main', 'ref: refs/heads/none', 'ref: refs/odd/0/x', 'detached'),
    tags: fc.nat({ max: 3 }),
    packed: fc.boolean(),
    hidden: fc.constantFrom(undefined, 'refs/odd', '!refs/odd', 'refs/tags', '^refs/heads'),
    objectFormat: fc.constantFrom('sha1' as const, 'sha256' as const),
    loose: fc.array(fc.constantFrom('missing', 'garbage', 'symref', 'loop'), { maxLength: 3 }),
  })
  const property = fc.asyncProperty(
    shape,
    async ({ names, raw, head, tags, packed, hidden, objectFormat, loose }) => {
      const name = `shape-${++count}.git`
      const path = initBare(root, name, { objectFormat })
      const oid = makeCommit(path, 'one')
      // Each in its own directory, so that no name conflicts with another.
      const odd = names.map((parts, index) => `refs/odd/${index}/${parts.join('')}`).filter(isLegal)
      const bytes = `refs/raw/${raw.map((byte) => String.fromCharCode(byte)).join('')}x/y`
      const updates = ['refs/heads/main', ...odd].map((ref) => Buffer.from(`create ${ref}\0${oid}\0`))
      const input = Buffer.concat([...updates, Buffer.from(`create ${bytes}\0${oid}\0`, 'latin1')])
      gitWith({ cwd: path, input }, 'update-ref', '--stdin', '-z')
      for (let tag = 0; tag < tags; tag++) {
        git(path, 'tag', '-a', '-m', 'x', `t${tag}`, tag === 0 ? 'main' : `t${tag - 1}`)
      }
      if (packed) git(path, 'pack-refs', '--all')
      mkdirSync(join(path, 'refs/heads'), { recursive: true })
      const contents = {
        missing: 'a'.repeat(oid.length),
        garbage: 'x',
        symref: `ref: ${bytes}`,
        loop: 'ref: refs/heads/loop',
      }
      for (const kind of loose)
        writeFileSync(join(path, 'refs/heads', kind), `${contents[kind as 'loop']}\n`, 'latin1')
      writeFileSync(join(path, 'HEAD'), `${head === 'detached' ? oid : head}\n`)
      if (hidden !== undefined) git(path, 'config', 'uploadpack.hideRefs', hidden)
      await agrees(name)
      rmSync(path, { recursive: true })
    },
  )
  await fc.assert(property, { numRuns: 25, endOnFailure: true })
  t.equal(count, 25)
})

t.test('warm answers came from the cache, and no process is left', async (t) => {
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const hits = [...text.matchAll(/^refstream_requests_total\{.*outcome="(?:hit|joined)".*\} (\d+)$/gm)]
  const sum = hits.reduce((total, [, count]) => total + Number(count), 0)
  // A commit takes some milliseconds; until then, requests join the fill that has just ended.
  t.ok(sum > 3 * Object.keys(fixtures).length, `${sum} shared`)
  t.match(text, /^refstream_processes_running 0$/m)
})
