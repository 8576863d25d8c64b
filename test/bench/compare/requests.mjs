// What is asked, as bytes for the load generator, and what Git itself answers.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { directory, root } from '../rig.mjs'
import { hashOf } from './tools.mjs'

/** Answers of Git's own as files, for the servers that are given what to say. */
export const files = join(directory, 'files')
const service = 'service=git-upload-pack'

const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const lsRefs = (...prefixes) =>
  [
    ...[packet('command=ls-refs\n'), packet('agent=bench\n'), packet('object-format=sha1\n'), '0001'],
    ...[packet('peel\n'), packet('symrefs\n')],
    ...prefixes.map((prefix) => packet(`ref-prefix ${prefix}\n`)),
    '0000',
  ].join('')

/** kind → how it is asked for. A poll in v2 is capabilities, then ls-refs. */
const kinds = {
  advertisement: { method: 'GET', resource: '/info/refs', body: '' },
  capabilities: { method: 'GET', resource: '/info/refs', body: '', protocol: 'version=2' },
  'ls-refs': {
    method: 'POST',
    resource: '/git-upload-pack',
    body: lsRefs('refs/heads/main'),
    protocol: 'version=2',
  },
  'ls-refs, whole list': {
    method: 'POST',
    resource: '/git-upload-pack',
    body: lsRefs(),
    protocol: 'version=2',
  },
}

let written = 0
/** A file of these requests, all of one name, for the load generator. */
export function writeRequests(name, ...requests) {
  const path = join(directory, `request-${written++}`)
  const word = name.replaceAll(/\W+/g, '-')
  writeFileSync(path, requests.map((bytes) => `${word} 1 ${bytes.length}\n${bytes}`).join(''))
  return path
}

/** The bytes of a request; `closing`: on a connection for itself; `path`: from a server of files, that file. */
export function requestBytes({ name }, kind, { closing = false, path } = {}) {
  const { method, resource, body, protocol } = kinds[kind]
  const target = path ?? `/${name}${resource}`
  const head = [
    `${method} ${target}${method === 'GET' || path ? `?${service}` : ''} HTTP/1.1`,
    'Host: bench',
    ...(protocol ? [`Git-Protocol: ${protocol}`] : []),
    ...(body
      ? ['Content-Type: application/x-git-upload-pack-request', `Content-Length: ${body.length}`]
      : []),
    ...(closing ? ['Connection: close'] : []),
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** A file of one request for the load generator. */
export const requestFile = (repository, kind, options) =>
  writeRequests(kind, requestBytes(repository, kind, options))

/** Where servers of files have the answer to a request, once `truth` has been asked for it. */
export const answerPath = ({ name }, kind) =>
  kind === 'advertisement' ? `/${name}/info/refs` : `/${name}/${kind.replaceAll(/\W+/g, '-')}`

/** Git's own answer to a request, by git-http-backend(1) as it is. */
export function truth(repository, kind) {
  const { method, resource, body, protocol } = kinds[kind]
  const { status, stdout } = spawnSync('git', ['http-backend'], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: method,
      PATH_INFO: `/${repository.name}${resource}`,
      QUERY_STRING: method === 'GET' ? service : '',
      CONTENT_TYPE: 'application/x-git-upload-pack-request',
      ...(protocol ? { GIT_PROTOCOL: protocol } : {}),
    },
    input: body,
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`git http-backend failed on ${repository.name}`)
  const answer = stdout.subarray(stdout.indexOf('\r\n\r\n') + 4)
  const path = join(files, answerPath(repository, kind))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, answer)
  return hashOf(answer)
}

/** How many answers were right, and what was wrong with the others. */
export function judge(answers, { length, hash }) {
  const counts = { right: 0, short: 0, wrong: 0, refused: 0, timeout: 0 }
  for (const answer of answers) {
    const right = answer.result === 'ok' && answer.status === 200
    const kind = right
      ? answer.hash === hash && answer.length === length
        ? 'right'
        : answer.length < length
          ? 'short'
          : 'wrong'
      : answer.result === 'refused' || answer.result === 'timeout' || answer.result === 'short'
        ? answer.result
        : 'wrong'
    counts[kind] += answer.count ?? 1
  }
  return counts
}

/** What was wrong in words; empty if nothing was. */
export const faults = ({ right, ...others }) =>
  Object.entries(others)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .concat(right > 0 ? [] : ['none right'])
    .join(', ')
