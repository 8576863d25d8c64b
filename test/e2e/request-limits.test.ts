import t from 'tap'
import { deepStrictEqual, rejects } from 'node:assert'
import { randomBytes } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { AnswerEnding } from '../../src/git/protocol/answer-ending.js'
import { startServer } from '../../src/index.js'
import { plainHeaders, runHttpBackend } from '../support/cgi.js'
import { ask } from '../support/http-client.js'
import { addPackedBranches, git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

// Requests around each limit of refstream's own are answered as `git http-backend` answers them.

for (const name of Object.keys(process.env)) {
  if (/^(GIT|XDG|HTTP)_/.test(name)) Reflect.deleteProperty(process.env, name)
}
Object.assign(process.env, gitEnvironment)

const root = realpathSync(tempDir(t))
const repository = makeRepository(root, 'r.git')
addPackedBranches(repository, 500)
const main = git(repository, 'rev-parse', 'main')
const start = (settings: object = {}) =>
  startServer({
    ...{ root, listen: '127.0.0.1:0', admin: '127.0.0.1:0' },
    ...{ cacheDir: join(tempDir(t), 'cache'), exportAll: true },
    ...settings,
  })
const sidecar = await start()
t.teardown(() => sidecar.close())

const pkt = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text

/** An ls-refs command of exactly so many bytes, or as near as packets allow. */
function lsRefs(bytes: number, prefix: string, packet: number): string {
  let command = `${pkt('command=ls-refs\n')}${pkt('agent=git/2.39.5')}${pkt('object-format=sha1')}0001`
  command += `${pkt('peel\n')}${pkt('symrefs\n')}${pkt('ref-prefix refs/heads/b')}${pkt('ref-prefix refs/tags/')}`
  const filler = 'ref-prefix '
  for (let index = 0; ; index++) {
    const left = bytes - command.length - 4
    const least = filler.length + 4 + 1
    if (left < least) break
    // The rest must have room for one more packet.
    const size = left - packet >= least ? packet : Math.min(left, 65_000)
    const name = `${prefix}${index}`
    command += pkt(filler + name.slice(0, size - 4 - filler.length).padEnd(size - 4 - filler.length, 'x'))
  }
  return `${command}0000`
}

const bodies: Record<string, (bytes: number, prefix: string, packet: number) => string> = {
  'ls-refs': lsRefs,
  'ls-refs that Git refuses': (...args) => lsRefs(...args).replace('peel\n', 'pool\n'),
  'ls-refs that is cut': (...args) => lsRefs(...args).slice(0, -3),
  'a fetch': (bytes, prefix, packet) => {
    const have = pkt(`have ${'1'.repeat(40)}\n`)
    const count = Math.max(0, Math.floor((bytes - 120) / have.length))
    return `${pkt('command=fetch')}${pkt('agent=git/2')}0001${pkt(`want ${main}\n`)}${have.repeat(count)}0000${packet ? '' : prefix}`
  },
}

interface Sent {
  readonly what: string
  readonly body: Buffer
  readonly encoding: string | undefined
  readonly chunked: boolean
  readonly version: number
}

async function agrees(sent: Sent, url = sidecar.url): Promise<void> {
  const target = '/r.git/git-upload-pack'
  const { what, body, encoding, chunked, version } = sent
  const headers: Record<string, string> = { 'content-type': 'application/x-git-upload-pack-request' }
  if (encoding !== undefined) headers['content-encoding'] = encoding
  if (!chunked) headers['content-length'] = String(body.length)
  const gitProtocol = version === 0 ? undefined : `version=${version}`
  const codes: (number | null)[] = []
  const ended = (code: number | null): void => void codes.push(code)
  const expected = runHttpBackend(root, { target, method: 'POST', headers, gitProtocol, body, ended })
  const said = `${what}: ${body.length} bytes, ${encoding ?? 'plain'}, ${chunked ? 'chunked' : 'with a length'}, v${version}`
  const ending = new AnswerEnding()
  ending.push(Buffer.from(expected.body, 'latin1'))
  const asked = ask(`${url}${target}`, {
    method: 'POST',
    headers: {
      ...headers,
      ...(chunked ? { 'transfer-encoding': 'chunked' } : {}),
      ...(gitProtocol === undefined ? {} : { 'git-protocol': gitProtocol }),
    },
    body,
  })
  if (codes[0] !== 0 && !ending.endsInError) {
    // Git's client could not tell such an answer from a whole one if the connection did not break (R4).
    await rejects(asked, said)
    return
  }
  const answer = await asked
  const { status, rawHeaders } = answer
  const given = { status, headers: plainHeaders(status, rawHeaders), body: answer.body.toString('latin1') }
  deepStrictEqual(given, expected, said)
}

/** Sizes at the limits: of the first packet, of a body that is read ahead, of an ls-refs command that is read ahead. */
const limits = [512, 1024, 64 * 1024, 1024 * 1024]
const sizes = fc
  .tuple(
    fc.constantFrom(...limits),
    fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -300, max: 5000 })),
  )
  .map(([limit, off]) => limit + off)

t.test('a POST is answered as Git answers it, whatever its size, coding and framing', async (t) => {
  let count = 0
  const property = fc.asyncProperty(
    fc.constantFrom(...Object.keys(bodies)),
    sizes,
    fc.constantFrom('refs/none/', 'refs/heads/b', 'é', ''),
    fc.constantFrom(16, 60, 4000, 65_516),
    fc.constantFrom(undefined, 'gzip', 'x-gzip', 'identity'),
    fc.boolean(),
    fc.constantFrom(2, 2, 2, 0),
    async (what, size, prefix, packet, encoding, chunked, version) => {
      count++
      const plain = Buffer.from(bodies[what]!(size, prefix, packet), 'latin1')
      const body = encoding?.endsWith('gzip') ? gzipSync(plain) : plain
      await agrees({ what, body, encoding, chunked, version })
    },
  )
  await fc.assert(property, { numRuns: 60, endOnFailure: true })
  t.equal(count, 60)
})

t.test('a body of exactly each limit is answered, compressed and plain', async (t) => {
  for (const limit of limits) {
    for (const off of [-1, 0, 1]) {
      const plain = Buffer.from(lsRefs(limit + off, 'refs/heads/b', 60))
      t.ok(Math.abs(plain.length - limit - off) < 16)
      for (const encoding of [undefined, 'gzip']) {
        const body = encoding ? gzipSync(plain) : plain
        for (const chunked of [false, true]) {
          await agrees({ what: 'ls-refs', body, encoding, chunked, version: 2 })
        }
      }
    }
  }
})

t.test('up to a mebibyte an ls-refs command is answered from the listing, beyond it by Git', async (t) => {
  const outcomes = async (): Promise<{ git: number; listing: number }> => {
    const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
    const sum = (pattern: RegExp): number =>
      [...text.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0)
    return {
      git: sum(/^refstream_requests_total\{.*outcome="passthrough".*\} (\d+)$/gm),
      listing: sum(
        /^refstream_requests_total\{.*kind="ls-refs".*outcome="(?:hit|joined|filled)".*\} (\d+)$/gm,
      ),
    }
  }
  for (const [bytes, packet, by] of [
    [100_000, 60, 'listing'],
    [1_000_000, 60, 'listing'],
    [1_000_000, 65_516, 'listing'],
    [1_100_000, 60, 'git'],
    // So many prefixes that Git drops them all.
    [1_048_000, 16, 'listing'],
  ] as const) {
    const plain = Buffer.from(lsRefs(bytes, '', packet))
    for (const encoding of [undefined, 'gzip']) {
      const before = await outcomes()
      await agrees({
        what: by,
        body: encoding ? gzipSync(plain) : plain,
        encoding,
        chunked: false,
        version: 2,
      })
      const after = await outcomes()
      t.equal(after[by] - before[by], 1, `${bytes} bytes, ${encoding ?? 'plain'}: ${by}`)
    }
  }
})

t.test('a compressed body with a wrong trailer, or damaged, is left for Git to read', async () => {
  const plain = Buffer.from(lsRefs(5000, 'refs/heads/b', 60))
  const body = gzipSync(plain)
  const short = Buffer.from(body)
  short.writeUInt32LE(10, short.length - 4)
  const long = Buffer.from(body)
  long.writeUInt32LE(0xffff_ffff, long.length - 4)
  const followed = Buffer.concat([body, randomBytes(100)])
  await agrees({
    what: 'followed by other bytes',
    body: followed,
    encoding: 'gzip',
    chunked: false,
    version: 2,
  })
  for (const damaged of [short, long, body.subarray(0, 300), Buffer.from([0x1f, 0x8b])]) {
    await agrees({ what: 'damaged', body: damaged, encoding: 'gzip', chunked: false, version: 2 })
  }
})

t.test('without memory for bodies, Git reads them', async (t) => {
  const tight = await start({ maxBodyMemoryBytes: 1000 })
  t.teardown(() => tight.close())
  for (const bytes of [300, 2000, 70_000, 1_000_000]) {
    const plain = Buffer.from(lsRefs(bytes, 'refs/heads/b', 60))
    for (const encoding of [undefined, 'gzip']) {
      const body = encoding ? gzipSync(plain) : plain
      await agrees({ what: 'ls-refs', body, encoding, chunked: false, version: 2 }, tight.url)
    }
  }
  const text = await (await fetch(`${tight.adminUrl}/metrics`)).text()
  t.match(text, /^refstream_request_body_bytes 0$/m, 'all memory is released')
})
