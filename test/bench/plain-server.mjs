// As little as a server can do around `git http-backend`: one process per request, piped both ways.
//
//   node plain-server.mjs ROOT GIT [ADDRESS]      prints its URL; /processes-started returns how many it has started
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'

const [, , root, git, address = '127.0.0.1'] = process.argv
const environment = { ...process.env, GIT_PROJECT_ROOT: root, GIT_HTTP_EXPORT_ALL: '1' }

let started = 0
const running = new Set()

/** Ends a process and what it has started. */
function end(child) {
  if (!running.has(child)) return
  try {
    process.kill(-child.pid)
  } catch {
    // It went by itself.
  }
}
process.once('SIGTERM', () => {
  running.forEach(end)
  process.exit()
})

const server = createServer((request, response) => {
  if (request.url === '/processes-started') return response.end(String(started))
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  const { headers } = request
  const child = spawn(git, ['http-backend'], {
    env: {
      ...environment,
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: searchParams.toString(),
      CONTENT_TYPE: headers['content-type'],
      CONTENT_LENGTH: headers['content-length'],
      HTTP_CONTENT_ENCODING: headers['content-encoding'],
      HTTP_GIT_PROTOCOL: headers['git-protocol'],
    },
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  child.once('error', () => response.destroy())
  if (!child.pid) return
  started++
  running.add(child)
  // Not when its output has been read, which may be never: by then its number may be another's.
  child.once('exit', () => running.delete(child))
  // The client has left: its output is not read.
  response.once('close', () => end(child))
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  child.stdout.once('data', (chunk) => {
    const end = chunk.indexOf('\r\n\r\n')
    const head = chunk.toString('latin1', 0, end).split('\r\n')
    const status = /^Status: (\d+)/m.exec(head.join('\n'))?.[1] ?? 200
    response.writeHead(
      Number(status),
      head.flatMap((line) => line.split(': ')),
    )
    response.write(chunk.subarray(end + 4))
    child.stdout.pipe(response)
  })
})
server.listen(0, address, () => console.log(`http://${address}:${server.address().port}`))
