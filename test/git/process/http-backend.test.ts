import t from 'tap'
import { realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../../src/git/process/git.js'
import type { GitProcess } from '../../../src/git/process/git-process.js'
import {
  httpBackend,
  readHead,
  type BackendRequest,
  type BackendAdmission,
} from '../../../src/git/process/http-backend.js'
import { eventually } from '../../support/eventually.js'
import { repositoryAt } from '../../support/found-repository.js'
import { gitEnvironment, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const never = new AbortController().signal
const atOnce: BackendAdmission = { admitted: false, queueing: never, signal: never }

/** A process that writes these pieces one after the other, each with its own write. */
function saying(t: Parameters<typeof tempDir>[0], pieces: readonly string[], ending = 'exit 0') {
  const directory = tempDir(t)
  const path = join(directory, 'git')
  const lines = pieces.map((piece, index) => {
    writeFileSync(join(directory, `${index}`), piece, 'latin1')
    return `cat '${directory}/${index}'; sleep 0.02`
  })
  writeFileSync(path, ['#!/bin/sh', ...lines, ending].join('\n'), { mode: 0o755 })
  const git = new Git({ path, environment: gitEnvironment })
  t.teardown(() => git.killAll())
  return { git, process: git.spawn(['http-backend'], { environment: git.environment }) }
}

async function answer(process: GitProcess) {
  const { body, ...head } = await readHead(process)
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return { ...head, body: Buffer.concat(chunks).toString('latin1') }
}

t.test('the head is read and the body is unchanged', async (t) => {
  const cases: [what: string, text: string, expected: object][] = [
    [
      'lines that end in CRLF, in the order in which they come',
      'Expires: never\r\nX: 1\r\nContent-Type: a/b; c=d\r\n\r\nbody',
      { status: 200, headers: ['Expires', 'never', 'X', '1', 'Content-Type', 'a/b; c=d'], body: 'body' },
    ],
    [
      'lines that end in LF',
      'X: 1\nY:2\n\nbody',
      { status: 200, headers: ['X', '1', 'Y', '2'], body: 'body' },
    ],
    [
      'a status, wherever it stands',
      'X: 1\r\nstatus: 404 Not Found\r\n\r\n',
      { status: 404, statusText: 'Not Found', headers: ['X', '1'], body: '' },
    ],
    ['a status without words', 'Status: 204\r\n\r\n', { status: 204, statusText: undefined, headers: [] }],
    ['a status that is none', 'Status: fine\r\n\r\n', { status: 500 }],
    [
      'a body that begins like an end',
      'X: 1\r\n\r\n\r\n\r\nbody',
      { headers: ['X', '1'], body: '\r\n\r\nbody' },
    ],
    ['a body with any bytes', 'X: 1\r\n\r\n\0\xff\n\n', { body: '\0\xff\n\n' }],
    ['values with colons, and empty ones', 'X: a:b\r\nY:\r\n\r\n', { headers: ['X', 'a:b', 'Y', ''] }],
  ]
  for (const [what, text, expected] of cases) {
    const whole = await answer(saying(t, [text]).process)
    t.match(whole, expected, what)
    // Cut in the middle of the empty line, and right after it.
    const end = text.search(/\r?\n\r?\n/)
    const cuts = [end + 1, end + 2, end + 3].filter((at) => at < text.length)
    const pieces = [0, ...cuts].map((at, index) => text.slice(at, cuts[index] ?? text.length))
    t.same(await answer(saying(t, pieces).process), whole, `${what}, in pieces`)
  }
})

t.test('a response without a head is an error', async (t) => {
  const cases: [what: string, pieces: string[], ending: string, error: RegExp][] = [
    ['nothing', [], 'exit 1', /no response head \(exit code 1\)/],
    ['half of one', ['Status: 200 OK\r\nExpires'], 'exit 0', /no response head/],
    ['no header', ['something went wrong\n\n'], 'exit 0', /no response head/],
    ['an empty one', ['\n\nbody'], 'exit 0', /no response head/],
    ['no header, and no end', ['garbage\n\n'], 'exec yes', /no response head/],
    ['no end of it', [`X: ${'x'.repeat(100_000)}`], 'exec sleep 1000', /no response head/],
  ]
  for (const [what, pieces, ending, error] of cases) {
    const { git, process } = saying(t, pieces, ending)
    await t.rejects(readHead(process), error, what)
    await eventually('it is gone', () => git.running === 0)
  }
})

t.test('the request reaches Git in its environment', async (t) => {
  const program = join(tempDir(t), 'git')
  writeFileSync(program, '#!/bin/sh\nprintf "X: 1\\n\\n$(pwd -P)\\n"; env\n', { mode: 0o755 })
  const environment = { ...gitEnvironment, GIT_PROTOCOL: 'version=2', HTTP_GIT_PROTOCOL: 'version=1' }
  const git = new Git({ path: program, environment })
  const root = tempDir(t)
  const gitDir = makeRepository(root, 'a/b.git')
  const ask = async (request: Partial<BackendRequest>, at = gitDir) => {
    const all: BackendRequest = { method: 'GET', resource: '/info/refs', exportAll: false, ...request }
    const process = await httpBackend(git, repositoryAt(at), all, atOnce)
    const [cwd, ...lines] = (await answer(process)).body.trim().split('\n')
    const variables = lines.map((line) => [line.split('=', 1)[0]!, line.replace(/^[^=]*=/, '')] as const)
    return { cwd, ...Object.fromEntries(variables) } as Record<string, string | undefined>
  }

  const plain = await ask({})
  t.match(plain, {
    cwd: realpathSync(gitDir),
    GIT_PROJECT_ROOT: '.',
    PATH_INFO: '/info/refs',
    REQUEST_METHOD: 'GET',
    QUERY_STRING: '',
    GATEWAY_INTERFACE: 'CGI/1.1',
  })
  const absent = ['CONTENT_TYPE', 'CONTENT_LENGTH', 'REMOTE_USER', 'GIT_HTTP_EXPORT_ALL', 'GIT_PROTOCOL']
  for (const name of [...absent, 'HTTP_GIT_PROTOCOL', 'HTTP_CONTENT_ENCODING']) {
    t.equal(plain[name], undefined, `${name} is not set`)
  }
  const full = { contentType: 'a/b', contentLength: '3', contentEncoding: 'gzip', gitProtocol: 'version=2' }
  const who = { remoteUser: 'ann', remoteAddress: '::1', exportAll: true }
  t.match(await ask({ method: 'POST', service: 'git-upload-pack', ...full, ...who }), {
    REQUEST_METHOD: 'POST',
    QUERY_STRING: 'service=git-upload-pack',
    ...{ CONTENT_TYPE: 'a/b', CONTENT_LENGTH: '3', HTTP_CONTENT_ENCODING: 'gzip' },
    ...{ HTTP_GIT_PROTOCOL: 'version=2', REMOTE_USER: 'ann', REMOTE_ADDR: '::1', GIT_HTTP_EXPORT_ALL: '1' },
  })
})

t.test('responses of the real http-backend', async (t) => {
  const root = tempDir(t)
  const gitDir = makeRepository(root, 'x.git')
  const git = new Git({ path: 'git', environment: gitEnvironment })
  const ask = async (request: Partial<BackendRequest>) => {
    const all: BackendRequest = { method: 'GET', resource: '/HEAD', exportAll: false, ...request }
    const process = await httpBackend(git, repositoryAt(gitDir), all, atOnce)
    process.stdin.end()
    return answer(process)
  }
  t.match(await ask({}), {
    status: 200,
    headers: ['Content-Length', '21', 'Content-Type', 'text/plain'],
    body: 'ref: refs/heads/main\n',
  })
  t.match(await ask({ resource: '/objects/info/alternates' }), { status: 404, body: '' })
  t.match(await ask({ resource: '/git-receive-pack', method: 'POST' }), { status: 403, body: '' })
  await eventually('no process is left', () => git.running === 0)
})
