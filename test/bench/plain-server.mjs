// As little as a server can do around `git http-backend`: one process per request, piped both ways.
//
//   node plain-server.mjs ROOT GIT      prints its URL
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'

const [, , root, git] = process.argv
const environment = { ...process.env, GIT_PROJECT_ROOT: root, GIT_HTTP_EXPORT_ALL: '1' }

const server = createServer((request, response) => {
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
  })
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  child.stdout.once('data', (chunk) => {
    const end = chunk.indexOf('\r\n\r\n')
    const head = chunk.toString('latin1', 0, end).split('\r\n')
    response.writeHead(
      200,
      head.flatMap((line) => line.split(': ')),
    )
    response.write(chunk.subarray(end + 4))
    child.stdout.pipe(response)
  })
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
