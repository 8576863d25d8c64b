import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import {
  parseFetch,
  type FetchDependency,
  type FetchRequest,
} from '../../../src/git/protocol/fetch-request.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import type { ProtocolVersion } from '../../../src/git/protocol/version.js'
import { startRecordingBackend, type Recorded } from '../../support/recording-backend.js'
import { delimiter, sha1, sideBand } from '../../support/fetch-requests.js'
import { git, gitEnvironment, gitWith, initBare } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

// Requests as the installed Git sends them.

const run = promisify(execFile)
const root = tempDir(t)
const origin = makeHistory('origin.git', 'sha1')
const backend = await startRecordingBackend(t, root)
const url = `${backend.url}/origin.git`
const main = git(origin, 'rev-parse', 'main')

/** Makes a repository of 50 commits with tags, that allows all that clients may ask for. */
function makeHistory(name: string, objectFormat: 'sha1' | 'sha256'): string {
  const path = initBare(root, name, { objectFormat })
  const commits = Array.from({ length: 50 }, (_, index) => {
    const text = `line ${index}\n`
    const time = 1_600_000_000 + index * 86_400
    return `commit refs/heads/main\ncommitter C <c@example.com> ${time} +0000\ndata 2\nc\nM 100644 inline file-${index}\ndata ${text.length}\n${text}\n`
  })
  gitWith({ cwd: path, input: commits.join('') }, 'fast-import', '--quiet')
  git(path, 'branch', 'topic', 'main~10')
  git(path, 'tag', '-a', '-m', 'one', 'v1', 'main~20')
  for (const key of ['allowFilter', 'allowAnySHA1InWant']) {
    git(path, 'config', `uploadpack.${key}`, 'true')
  }
  git(path, 'config', 'transfer.advertiseSID', 'true')
  return path
}

/** Runs a client; returns the requests for packs that it has sent. */
async function sent(version: ProtocolVersion, cwd: string, ...args: string[]): Promise<Recorded[]> {
  const options = { cwd, env: { ...gitEnvironment, HOME: cwd } }
  await run(
    'git',
    ['-c', `protocol.version=${version}`, '-c', 'transfer.advertiseSID=true', ...args],
    options,
  )
  return backend.take().filter(({ body }) => !body.toString('latin1', 4, 30).startsWith('command=ls-refs'))
}

const flush = '0000'
const endsInFlush = (answer: Buffer): boolean => answer.toString('latin1').endsWith(flush)

/** What has been recorded and parsed. */
const parsed: FetchRequest[] = []

function parse({ version, body, answer }: Recorded): FetchRequest {
  const request = parseFetch(body, version)
  if (typeof request === 'string') throw new Error(`${request}: ${body.toString('latin1')}`)
  if (request.endsInFlush && !endsInFlush(answer))
    throw new Error(`no flush after ${body.toString('latin1')}`)
  parsed.push(request)
  return request
}

const all = (version: ProtocolVersion, dependsOn: FetchDependency): FetchDependency =>
  version === 2 ? dependsOn : 'refs'

for (const version of [0, 1, 2] as const) {
  t.test(`v${version}: clones and fetches of Git are parsed`, async (t) => {
    const work = tempDir(t)
    const clone = async (dependsOn: FetchDependency, ...args: string[]): Promise<FetchRequest[]> => {
      const requests = (await sent(version, work, 'clone', '--quiet', ...args)).map(parse)
      t.ok(requests.length > 0, args.join(' '))
      for (const request of requests)
        t.match(request, { version, dependsOn: all(version, dependsOn) }, args.join(' '))
      return requests
    }
    const [whole] = await clone('objects', url, 'whole')
    const [again] = await clone('objects', url, 'again')
    t.equal(whole?.digest, again?.digest, 'a session id of another process')
    await clone('tags', '--depth=1', url, 'depth')
    await clone('objects', '--no-tags', url, 'untagged')
    await clone('objects', '--mirror', url, 'mirror')
    await clone('tags', '--single-branch', '--branch=topic', url, 'single')
    await clone('tags', '--shallow-since=1601000000', url, 'since')
    await clone('refs', '--shallow-exclude=topic', url, 'exclude')
    // With the requests for the blobs that a checkout lacks.
    const partial = (await sent(version, work, 'clone', '--quiet', '--filter=blob:none', url, 'partial')).map(
      parse,
    )
    t.equal(partial.length, 2, 'blob:none')
    await clone('objects', '--no-checkout', '--filter=tree:0', '--filter=blob:limit=1k', url, 'combined')

    const fetched = async (
      dependsOn: FetchDependency,
      cwd: string,
      ...args: string[]
    ): Promise<FetchRequest[]> => {
      const requests = (await sent(version, join(work, cwd), 'fetch', '--quiet', ...args)).map(parse)
      t.ok(requests.length > 0, args.join(' '))
      for (const request of requests) t.match(request, { dependsOn: all(version, dependsOn) }, args.join(' '))
      return requests
    }
    await fetched('tags', 'depth', '--deepen=3')
    await fetched('tags', 'depth', '--depth=7')
    await fetched('tags', 'since', '--unshallow')

    git(work, 'init', '--quiet', 'job')
    const [job] = await fetched('objects', 'job', '--no-tags', '--depth=1', url, main)
    t.ok(job?.body.includes('deepen 1'))
  })

  t.test(`v${version}: rounds of negotiation are parsed`, async (t) => {
    const work = tempDir(t)
    await sent(
      version,
      work,
      'clone',
      '--quiet',
      '--single-branch',
      '--branch=topic',
      '--no-tags',
      url,
      'clone',
    )
    const clone = join(work, 'clone')
    const commits = Array.from({ length: 100 }, (_, index) => {
      const from = index === 0 ? 'from refs/heads/topic^0\n' : ''
      return `commit refs/heads/mine\ncommitter C <c@example.com> ${1_700_000_000 + index} +0000\ndata 1\nc\n${from}\n`
    })
    gitWith({ cwd: clone, input: commits.join('') }, 'fast-import', '--quiet')
    const requests = (await sent(version, clone, 'fetch', '--quiet', '--no-tags', url, 'main')).map(parse)
    t.ok(requests.length > 2, `${requests.length} rounds`)
    const [first] = requests
    t.equal(first?.endsInFlush, version === 2)
    t.ok(first?.body.includes('have '))
    t.equal(new Set(requests.map(({ digest }) => digest)).size, requests.length)
  })
}

t.test('other forms of requests of Git are parsed', async (t) => {
  const work = tempDir(t)
  const wide = makeHistory('wide.git', 'sha256')
  const [clone] = (await sent(2, work, 'clone', '--quiet', `${backend.url}/wide.git`, 'wide')).map(parse)
  t.match(clone, { objectFormat: 'sha256', dependsOn: 'objects' })
  const [old] = (await sent(0, work, 'clone', '--quiet', `${backend.url}/wide.git`, 'old')).map(parse)
  t.match(old, { objectFormat: 'sha256', dependsOn: 'refs' })
  t.ok(clone?.body.includes(git(wide, 'rev-parse', 'main')))

  git(origin, 'config', 'uploadpack.allowRefInWant', 'true')
  git(work, 'init', '--quiet', 'all')
  const args = ['fetch', '--quiet', '--refmap=', url, 'refs/heads/main:refs/heads/x']
  const [byRef] = (await sent(2, join(work, 'all'), ...args)).map(parse)
  t.match(byRef, { dependsOn: 'refs' }, 'want-ref')
  const [negotiated] = (
    await sent(2, join(work, 'all'), 'fetch', '--quiet', '--negotiate-only', '--negotiation-tip=x', url)
  ).map(parse)
  t.match(negotiated, { dependsOn: 'objects' }, 'wait-for-done without a want')

  const [options] = await sent(2, work, 'clone', '--quiet', '--server-option=a', url, 'options')
  t.equal(parseFetch(options!.body, 2), 'arguments')
})

t.test('a recorded request that is cut at any byte is none', (t) => {
  t.ok(parsed.length > 40)
  for (const { body, version } of parsed) {
    for (let end = 0; end < body.length; end++) {
      const cut = parseFetch(body.subarray(0, end), version)
      if (typeof cut === 'string') continue
      // What comes before `done` is a whole request for a list of shallow commits.
      if (version !== 2 && cut.endsInFlush && body.subarray(0, end).toString('latin1').endsWith(flush))
        continue
      t.fail(`${end} bytes of ${body.toString('latin1')}`)
    }
  }
  t.pass('none was accepted')
  t.end()
})

/** Returns where the values of agents and session ids begin and end; in one line, an agent may reach to the end of both. */
const valuesOf = (text: string): [number, number][] =>
  [...text.matchAll(/(?:agent=git|session-id=20)[\w./:-]*(?: session-id=[\w.-]*)?(?=\n| |00)/g)].map(
    ({ index, 0: match }) => [index + match.indexOf('=') + 1, index + match.length],
  )

t.test('a recorded request with another byte never has the same digest, and never throws', (t) => {
  const property = fc.property(
    fc.integer({ min: 0, max: parsed.length - 1 }),
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
    (index, offset, change) => {
      const { body, version, digest } = parsed[index]!
      const at = offset % body.length
      const text = body.toString('latin1')
      const other = Buffer.from(body)
      other[at] = other[at]! ^ change
      const result = parseFetch(other, version)
      if (typeof result === 'string') return
      const isFree = valuesOf(text).some(([from, to]) => at >= from && at < to)
      if (!isFree && result.digest === digest) t.fail(`byte ${at} of ${text}: ${other.toString('latin1')}`)
    },
  )
  fc.assert(property, { numRuns: 5000 })
  t.pass('none had')
  t.end()
})

t.test('no bytes throw', (t) => {
  const packet = fc
    .uint8Array({ maxLength: 80 })
    .map((bytes) => pktLine(Buffer.from(bytes).toString('latin1')))
  const piece = fc.oneof(
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    packet,
    fc.constantFrom(
      flushPacket,
      delimiter,
      pktLine('command=fetch'),
      pktLine(sideBand),
      pktLine(`want ${sha1}`),
    ),
    fc.string({ unit: 'binary' }).map((text) => pktLine(`want ${sha1} ${text}`)),
    fc.string({ unit: 'binary' }).map((text) => pktLine(`filter ${text}`)),
  )
  const property = fc.property(
    fc.array(piece, { maxLength: 6 }),
    fc.constantFrom(0, 1, 2),
    (pieces, version) => {
      parseFetch(Buffer.concat(pieces), version)
    },
  )
  fc.assert(property, { numRuns: 2000 })
  t.pass('none threw')
  t.end()
})
