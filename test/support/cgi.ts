import { spawnSync } from 'node:child_process'
import { gitEnvironment } from './repositories.js'

/** A response that can be compared: headers in their order, without those that belong to a connection. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: string[]
  readonly body: string
}

export interface CgiRequest {
  /** Path from the root, and query. */
  readonly target: string
  readonly gitProtocol?: string | undefined
  readonly exportAll?: boolean
  readonly method?: string
  /** Names in lower case; those that CGI passes on: type, encoding and length of the body. */
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  readonly environment?: NodeJS.ProcessEnv
  /** Called with Git's exit code, which must be 0 otherwise. */
  readonly ended?: (code: number | null) => void
}

/** Runs `git http-backend` as a CGI program (git-http-backend(1)) and returns its response. */
export function runHttpBackend(root: string, request: CgiRequest): PlainAnswer {
  const [path = '', query = ''] = request.target.split('?')
  const { headers = {}, body = Buffer.alloc(0) } = request
  const { status, stdout, stderr } = spawnSync('git', ['http-backend'], {
    maxBuffer: 1 << 30,
    input: body,
    env: {
      ...gitEnvironment,
      // refstream trusts repositories of other users below its root.
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: headers['content-type'],
      CONTENT_LENGTH: headers['content-length'],
      HTTP_CONTENT_ENCODING: headers['content-encoding'],
      GIT_PROJECT_ROOT: root,
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      HTTP_GIT_PROTOCOL: request.gitProtocol,
      GIT_HTTP_EXPORT_ALL: request.exportAll === false ? undefined : '1',
      ...request.environment,
    },
  })
  request.ended?.(status)
  if (status !== 0 && !request.ended)
    throw new Error(`git http-backend: exit code ${status}: ${stderr.toString()}`)
  const end = stdout.indexOf('\r\n\r\n')
  const lines = stdout.toString('latin1', 0, end).split('\r\n')
  const pairs = lines.map((line) => [line.slice(0, line.indexOf(':')), line.replace(/^[^:]*: /, '')] as const)
  const code = Number(pairs.find(([name]) => name === 'Status')?.[1].slice(0, 3) ?? 200)
  return {
    status: code,
    headers: plainHeaders(code, pairs.filter(([name]) => name !== 'Status').flat()),
    body: stdout.toString('latin1', end + 4),
  }
}

const ofConnection = ['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding']

/** Returns alternating names and values, without headers of the connection. */
export function plainHeaders(status: number, rawHeaders: readonly string[]): string[] {
  const names = rawHeaders.map((_, index) => rawHeaders[index & ~1]!.toLowerCase())
  return rawHeaders.filter((_, index) => {
    // In an error response Git writes some headers twice, where refstream writes them once.
    const isRepeated = status >= 400 && names.indexOf(names[index]!) !== (index & ~1)
    return !ofConnection.includes(names[index]!) && !isRepeated
  })
}
