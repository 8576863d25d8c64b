import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gitEnvironment } from './repositories.js'

/**
 * Starts a Git server that answers by `git http-backend` (git-http-backend(1)), and lets all clients push: with its status,
 * each in a process of its own. Ended with the test. @returns its URL
 */
export async function startSmartServer(
  t: Test,
  root: string,
  /** Answers what is not Git's. @returns whether it does */
  other?: (request: IncomingMessage, response: ServerResponse) => boolean,
): Promise<string> {
  const server = createServer((request, response) => {
    if (other?.(request, response)) return
    // A client that leaves does not end the test.
    answer(root, request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function answer(root: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { url = '', method, headers } = request
  const [path = '', query = ''] = url.split('?')
  const child = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'tester',
      REQUEST_METHOD: method,
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: headers['content-type'],
      CONTENT_LENGTH: headers['content-length'],
      HTTP_CONTENT_ENCODING: headers['content-encoding'],
      HTTP_GIT_PROTOCOL: headers['git-protocol'] as string | undefined,
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  let head = Buffer.alloc(0)
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (response.headersSent) {
      if (!response.write(chunk)) await once(response, 'drain')
      continue
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) continue
    const lines = head.toString('latin1', 0, end).split('\r\n')
    const pairs = lines.map((line) => /^([^:]*): *(.*)$/.exec(line)!.slice(1) as [string, string])
    const [, status = '200'] = pairs.find(([name]) => name === 'Status') ?? []
    response.writeHead(parseInt(status), pairs.filter(([name]) => name !== 'Status').flat())
    response.write(head.subarray(end + 4))
  }
  response.end()
}
