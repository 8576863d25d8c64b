import t from 'tap'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Permit, PermitRequest, ProcessLimiter } from '../../../src/limits/process/process-limiter.js'
import { MountTable } from '../../../src/git/filesystem/mount-table.js'
import { Git, type GitOptions } from '../../../src/git/process/git.js'
import { GitError } from '../../../src/git/process/git-error.js'
import { PackRefused } from '../../../src/git/process/pack-answer.js'
import { packFor, type PackOptions } from '../../../src/git/process/pack-process.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import type { ProtocolVersion } from '../../../src/git/protocol/version.js'
import { runHttpBackend } from '../../support/cgi.js'
import { eventually } from '../../support/eventually.js'
import { repositoryAt } from '../../support/found-repository.js'
import { makeGitWrapper, plans } from '../../support/git-wrapper.js'
import { git as run, gitEnvironment, makeCommit, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const root = tempDir(t)
const path = makeRepository(root, 'x.git')
const tip = run(path, 'rev-parse', 'main')
const newer = makeCommit(path, 'two', tip)
run(path, 'update-ref', 'refs/heads/newer', newer)
const repository = repositoryAt(path)
const git = new Git({ path: 'git', environment: gitEnvironment })
const unknown = '1'.repeat(tip.length)
const neverAborts = new AbortController().signal

const delimiter = Buffer.from('0001')
const lines = (...texts: string[]): Buffer[] => texts.map((text) => pktLine(`${text}\n`))
/** A request of protocol v2; its arguments. */
type PackRequest = Parameters<typeof packFor>[2]

const v2 = (...args: string[]): PackRequest => ({
  version: 2,
  endsInFlush: true,
  body: Buffer.concat([
    ...lines('command=fetch', 'object-format=sha1'),
    ...[delimiter, ...lines('thin-pack', 'no-progress', 'ofs-delta', ...args), flushPacket],
  ]),
})
/** A request of protocol v0 or v1; the first line, others before the flush packet, and those after it (`0000`: another). */
const v0 = (first: string, before: string[], after: string[], version: ProtocolVersion = 0): PackRequest => ({
  version,
  endsInFlush: after.at(-1) !== '0000',
  body: Buffer.concat([
    ...lines(`${first} multi_ack_detailed no-done side-band-64k thin-pack no-progress ofs-delta`, ...before),
    ...[flushPacket, ...after.map((text) => (text === '0000' ? flushPacket : pktLine(`${text}\n`)))],
  ]),
})
const clone = v2(`want ${tip}`, 'done')
const refused = v2(`want ${unknown}`, 'done')

interface Outcome {
  readonly body: string
  /** What `ended` was called with, each time. */
  readonly sound: boolean[]
  readonly error: unknown
}

async function pack(
  request: PackRequest,
  {
    with: by = git,
    signal = neverAborts,
    ...options
  }: PackOptions & { with?: Git; signal?: AbortSignal } = {},
): Promise<Outcome> {
  const chunks: Buffer[] = []
  const sound: boolean[] = []
  let error: unknown
  try {
    const all = { ...options, ended: (each: boolean) => sound.push(each) }
    for await (const chunk of packFor(by, repository, request, signal, all)) chunks.push(chunk)
  } catch (thrown) {
    error = thrown
  }
  return { body: Buffer.concat(chunks).toString('latin1'), sound, error }
}

/** The body of http-backend's response. */
function backendBody({ version, body }: PackRequest): string {
  const headers = {
    'content-type': 'application/x-git-upload-pack-request',
    'content-length': `${body.length}`,
  }
  const gitProtocol = version === 0 ? undefined : `version=${version}`
  const target = '/x.git/git-upload-pack'
  const request = { target, method: 'POST', headers, gitProtocol, body }
  return runHttpBackend(root, { ...request, ended: () => {} }).body
}

/** A wrapped Git, and what it reported. */
function wrapped(t: Parameters<typeof makeGitWrapper>[0], options: Partial<GitOptions> = {}) {
  const wrapper = makeGitWrapper(t)
  return { wrapper, git: new Git({ path: wrapper.path, environment: gitEnvironment, ...options }) }
}

/**
 * Joins neighbouring packets of the first band: Git cuts them as it reads them from pack-objects, and holds the last byte back
 * (upload-pack.c, relay_pack_data).
 */
function joined(answer: string): string[] {
  const packets: string[] = []
  for (let at = 0; at < answer.length;) {
    const length = Math.max(4, parseInt(answer.slice(at, at + 4), 16))
    const packet = answer.slice(at + (length === 4 ? 0 : 4), at + length)
    if (packet.startsWith('\x01') && packets.at(-1)?.startsWith('\x01'))
      packets.push(packets.pop()! + packet.slice(1))
    else packets.push(packet)
    at += length
  }
  return packets
}

t.test('a pack has the bytes of http-backend and is sound', async (t) => {
  const requests: [what: string, request: PackRequest][] = [
    ['a clone', clone],
    ['a fetch by commit id', v2('deepen 1', `want ${tip}`, 'done')],
    ['a fetch that has something', v2(`want ${newer}`, `have ${tip}`, 'done')],
    ['a round that is ready', v2(`want ${newer}`, `have ${tip}`)],
    ['a round that is ready, by protocol v0', v0(`want ${newer}`, [], [`have ${tip}`, '0000'])],
    ['a clone by protocol v0', v0(`want ${tip}`, [], ['done'])],
    ['by protocol v1', v0(`want ${tip}`, [], ['done'], 1)],
    ['a shallow one by protocol v0', v0(`want ${tip}`, ['deepen 1'], ['done'])],
  ]
  for (const [what, request] of requests) {
    const { body, sound, error } = await pack(request)
    t.equal(error, undefined, what)
    t.match(body, 'PACK', what)
    t.same(joined(body), joined(backendBody(request)), what)
    t.same(sound, [true], what)
  }
  t.equal(git.running, 0)
})

t.test('an answer without a pack has the bytes of http-backend too', async (t) => {
  const rounds: [what: string, request: PackRequest, sound: boolean][] = [
    ['nothing in common', v2(`want ${newer}`, `have ${unknown}`), true],
    // Without a flush packet at the end (gitprotocol-pack(5), "Packfile Negotiation").
    ['nothing in common, by protocol v0', v0(`want ${newer}`, [], [`have ${unknown}`, '0000']), false],
    ['no wants', { version: 0, endsInFlush: false, body: flushPacket }, false],
    ['an empty body', { version: 2, endsInFlush: false, body: Buffer.alloc(0) }, false],
  ]
  for (const [what, request, sound] of rounds) {
    const outcome = await pack(request)
    t.same(outcome, { body: backendBody(request), sound: [sound], error: undefined }, what)
    t.notMatch(outcome.body, 'PACK', what)
  }
})

t.test('a request that is cut is an error, as for pass-through', async (t) => {
  const { body, sound, error } = await pack(v0(`want ${newer}`, [], [`have ${unknown}`]))
  t.same([body, sound], ['', []])
  t.match(error, { name: 'GitError', message: /exit code 128/ })
})

t.test('a refusal is thrown with the bytes of http-backend, and nothing is yielded', async (t) => {
  run(path, 'config', 'uploadpack.allowSidebandAll', 'true')
  t.teardown(() => void run(path, 'config', '--unset', 'uploadpack.allowSidebandAll'))
  const refusals: [what: string, request: PackRequest][] = [
    ['protocol v2', refused],
    ['protocol v2 in a side-band', v2('sideband-all', `want ${unknown}`, 'done')],
    ['protocol v1', v0(`want ${unknown}`, [], ['done'], 1)],
    ['protocol v0', v0(`want ${unknown}`, [], ['done'])],
    ['an unknown argument', v2('frobnicate', 'done')],
  ]
  for (const [what, request] of refusals) {
    const { body, sound, error } = await pack(request)
    const expected = backendBody(request)
    t.equal(body, '', what)
    t.same(sound, [], what)
    if (expected === '') {
      // Git says it on standard error alone.
      t.type(error, GitError, what)
      t.notOk(error instanceof PackRefused, what)
      continue
    }
    t.type(error, PackRefused, what)
    t.equal((error as PackRefused).answer.toString('latin1'), expected, what)
  }
  const { error } = await pack(refused)
  t.match(error, { name: 'PackRefused', message: /refused the request: "ERR upload-pack: not our ref 1111/ })
  t.equal(git.running, 0)
})

const print = (...packets: Buffer[]): string =>
  `printf '%b' '${[...Buffer.concat(packets)].map((byte) => `\\0${byte.toString(8)}`).join('')}'\n`
const err = pktLine('ERR no')
const fatal = pktLine('\x03no')
const some = pktLine('\x01PACK')

t.test('a refusal is one whatever Git’s exit code is, if it is complete', async (t) => {
  const { wrapper, git } = wrapped(t)
  for (const [what, plan, answer] of [
    ['exit code 128', `${print(err)}exit 128\n`, err],
    ['exit code 0', `${print(err)}exit 0\n`, err],
    ['killed', `${print(err)}kill -9 $$\n`, err],
    ['in a side-band', `${print(fatal)}exit 128\n`, fatal],
    ['with a flush packet', `${print(err, flushPacket)}exit 128\n`, Buffer.concat([err, flushPacket])],
    ['in pieces', `printf 00; sleep 0.1; printf 0aER; sleep 0.1; printf 'R no'; exit 128\n`, err],
  ] as const) {
    wrapper.plan(plan)
    const { body, sound, error } = await pack(clone, { with: git })
    t.type(error, PackRefused, what)
    t.same((error as PackRefused).answer, answer, what)
    t.same([body, sound], ['', []], what)
  }
  for (const [what, plan, error] of [
    ['cut', `printf '000aERR n'; exit 128\n`, /exit code 128/],
    ['cut, exit code 0', `printf '000aERR n'; exit 0\n`, /cut short/],
    ['cut before its payload', `printf '000a'; exit 0\n`, /cut short/],
    ['endless', `${print(err)}exec yes 000aERR-no | tr -d '\\n'\n`, /its error message is too long/],
  ] as const) {
    wrapper.plan(plan)
    const outcome = await pack(clone, { with: git })
    t.match(outcome, { body: '', sound: [], error: { name: 'GitError', message: error } }, what)
  }
  await eventually('no process is left', () => git.running === 0)
})

t.test('a stream ends without an error only if its client sees a whole answer', async (t) => {
  const { wrapper, git } = wrapped(t)
  // The length of an answer depends on how Git cuts it into packets; see `joined`.
  const without = (bytes: number): string =>
    `git "$@" > "$dir/out"; head -c $(($(wc -c < "$dir/out") - ${bytes})) "$dir/out"; exit 0\n`
  const faults: [what: string, plan: string, error: RegExp][] = [
    ['fails after some bytes', plans.dieAfter(100), /exit code 128/],
    ['fails after all bytes', 'git "$@"; exit 1\n', /exit code 1$/],
    ['fails without bytes', 'exit 1\n', /exit code 1$/],
    ['is killed half-way', plans.killSelfAfter(100), /killed by SIGKILL/],
    ['ends in the middle of a packet', plans.cutAfter(100), /cut short/],
    ['leaves out a byte', without(1), /cut short/],
    ['leaves out the flush packet', without(4), /cut short/],
    ['ends between two packets', `${print(some)}exit 0\n`, /cut short/],
    ['goes on after an error, cut', `${print(some, fatal, some)}exit 0\n`, /cut short/],
    ['ends with a delimiter', `${print(some, delimiter)}exit 0\n`, /cut short/],
    ['ends without bytes', 'exit 0\n', /cut short/],
    ['says something else', 'echo Hello, world; exit 0\n', /not a pkt-line length/],
    ['says something else afterwards', 'git "$@"; echo goodbye; exit 0\n', /not a pkt-line length/],
    ['sends an error in the middle of a pack, cut', `${print(some, fatal.subarray(0, -1))}exit 128\n`, /128/],
    ['goes on after an error', `${print(some, fatal, some)}exit 128\n`, /exit code 128/],
  ]
  for (const [what, plan, error] of faults) {
    wrapper.plan(plan)
    const outcome = await pack(clone, { with: git })
    t.match(outcome, { sound: [], error: { message: error } }, what)
    t.notOk(outcome.error instanceof PackRefused, what)
  }
  const unsound: [what: string, plan: string][] = [
    ['sends an error in the middle of a pack', `${print(some, fatal)}exit 128\n`],
    ['sends an error and exits with 0', `${print(some, fatal, flushPacket)}exit 0\n`],
    ['sends an ERR packet after something else', `${print(some, err)}exit 128\n`],
    ['is killed after an error', `${print(some, fatal)}kill -9 $$\n`],
    ['goes on after an error and exits with 0', `${print(some, fatal, some, flushPacket)}exit 0\n`],
  ]
  for (const [what, plan] of unsound) {
    wrapper.plan(plan)
    const outcome = await pack(clone, { with: git })
    t.match(outcome, { sound: [false], error: undefined }, what)
    t.match(outcome.body, 'PACK', what)
  }
  wrapper.plan(without(4))
  const round = await pack({ ...clone, endsInFlush: false }, { with: git })
  t.match(
    round,
    { body: 'PACK', sound: [false], error: undefined },
    'a request whose answer may end without one',
  )
  await eventually('no process is left', () => git.running === 0)
})

t.test('bytes are yielded as they come, after an empty chunk that tells that Git runs', async (t) => {
  for (const bytes of [8, 150]) {
    const { wrapper, git } = wrapped(t)
    wrapper.plan(plans.pause(bytes))
    const chunks = packFor(git, repository, clone, neverAborts)
    t.same((await chunks.next()).value, Buffer.alloc(0))
    let received = ''
    const receive = (chunk: Buffer): void => void (received += chunk.toString('latin1'))
    while (received.length < bytes) receive((await chunks.next()).value as Buffer)
    t.equal(received.length, bytes, 'while Git has not sent the rest')
    wrapper.signal('go')
    let last = await chunks.next()
    for (; !last.done; last = await chunks.next()) receive(last.value)
    t.same(joined(received), joined((await pack(clone)).body))
  }
})

t.test('a Git that is silent for long, or whose reader is, counts as pass-through', async (t) => {
  const { wrapper } = wrapped(t)
  let became = 0
  const permit: Permit = { release: () => {}, becomePass: () => ++became > 0 }
  const limited = new Git({
    path: wrapper.path,
    environment: gitEnvironment,
    limiter: { acquire: async () => permit } as unknown as ProcessLimiter,
  })
  wrapper.plan(plans.hangAfter(0))
  const aborter = new AbortController()
  const chunks = packFor(limited, repository, clone, aborter.signal, { silentMs: 1 })
  await chunks.next()
  const waiting = chunks.next()
  await eventually('it is counted otherwise', () => became === 1)
  aborter.abort()
  await t.rejects(waiting)
})

t.test('an abort ends the process; so does a reader that stops', async (t) => {
  const { wrapper, git } = wrapped(t)
  wrapper.plan(plans.hangAfter(100))
  const aborter = new AbortController()
  const finished: (number | undefined)[] = []
  const options = { finished: (seconds: number | undefined) => finished.push(seconds) }
  const aborted = packFor(git, repository, clone, aborter.signal, options)
  await aborted.next()
  t.notOk((await aborted.next()).done)
  t.same(finished, [])
  const rest = aborted.next()
  aborter.abort()
  await t.rejects(rest, /killed by SIGTERM/)
  await eventually('it is gone', () => finished.length === 1)

  const left = packFor(git, repository, clone, neverAborts, options)
  await left.next()
  t.notOk((await left.next()).done)
  await left.return(undefined)
  await eventually('it is gone', () => finished.length === 2)

  t.match(await pack(clone, { with: git, signal: AbortSignal.abort() }), {
    sound: [],
    error: { name: 'GitError' },
  })
  await eventually('no process is left', () => git.running === 0)
})

t.test('a Git that does not read the request is no other error', async (t) => {
  const { wrapper, git } = wrapped(t)
  const haves = pktLine(`have ${unknown}\n`).toString().repeat(100_000)
  const large = {
    ...clone,
    body: Buffer.concat([clone.body.subarray(0, -4), Buffer.from(haves), flushPacket]),
  } as const
  wrapper.plan(`${print(err)}exit 128\n`)
  t.type((await pack(large, { with: git })).error, PackRefused)
  wrapper.plan('exit 3\n')
  t.match((await pack(large, { with: git })).error, { name: 'GitError', message: /exit code 3/ })
})

t.test('it is told when the process is gone, once, and what it took', async (t) => {
  const { wrapper, git } = wrapped(t)
  const finished: (number | undefined)[] = []
  const options = { with: git, finished: (seconds: number | undefined) => finished.push(seconds) }
  // The shell waits for its children, as upload-pack does for pack-objects.
  wrapper.plan('i=0; (while [ $i -lt 200000 ]; do i=$((i+1)); done) 2>/dev/null\n')
  await pack(clone, options)
  await eventually('it is gone', () => finished.length === 1)
  if (process.platform === 'linux') t.ok(finished[0]! > 0.03 && finished[0]! < 30, `${finished[0]} s`)
  await pack(refused, options)
  await eventually('it is gone', () => finished.length === 2)
  wrapper.plan('exit 1\n')
  await pack(clone, options)
  await eventually('it is gone', () => finished.length === 3)

  const missing = new Git({ path: '/nonexistent/git', environment: {} })
  const { error } = await pack(clone, { ...options, with: missing })
  t.match(error, { name: 'GitError', message: /ENOENT/ })
  await eventually('it never was', () => finished.length === 4)
})

t.test('it has a permit of the class of packs until the process is gone', async (t) => {
  const requests: PermitRequest[] = []
  let held = 0
  const acquire = async (request: PermitRequest): Promise<Permit> => {
    requests.push(request)
    held++
    return { release: () => held--, becomePass: () => true }
  }
  const limited = new Git({
    path: 'git',
    environment: gitEnvironment,
    limiter: { acquire } as unknown as ProcessLimiter,
  })
  const { signal } = new AbortController()
  for (const admitted of [true, false]) {
    const chunks = packFor(limited, repository, clone, signal, { admitted })
    await chunks.next()
    t.equal(held, 1)
    for await (const chunk of chunks) t.ok(chunk)
    t.equal(held, 0)
    t.match(requests.pop(), { class: 'pack', group: repository.commonDir, admitted, signal })
  }
})

t.test(
  'on a filesystem that may hang, Git is started by a shell, and given up when that does not answer',
  { skip: process.platform !== 'linux' && 'there is no mount table' },
  async (t) => {
    const { gitDir } = repository
    const mounts = new MountTable(() =>
      Buffer.from(`1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / ${gitDir} rw - nfs x rw\n`),
    )
    const { wrapper, git: far } = wrapped(t, { mounts })
    const { body, sound } = await pack(clone, { with: far })
    t.same(joined(body), joined((await pack(clone)).body))
    t.same(sound, [true])
    t.type((await pack(refused, { with: far })).error, PackRefused)
    wrapper.plan(plans.hangAfter(100))
    const hanging = pack(clone, { with: far })
    await eventually('it hangs', () => wrapper.hasFile('hanging'))
    far.giveUpOn([gitDir])
    t.match(await hanging, { sound: [], error: { name: 'FilesystemUnanswered' } })
  },
)

t.test('a repository that was replaced is an error, and no process runs', async (t) => {
  const gone = makeRepository(tempDir(t), 'gone.git')
  const was = repositoryAt(gone)
  rmSync(gone, { recursive: true })
  makeRepository(join(gone, '..'), 'gone.git')
  const finished = (): void => void t.fail('there was no process')
  await t.rejects(packFor(git, was, clone, neverAborts, { finished }).next(), { name: 'RepositoryExchanged' })
})
