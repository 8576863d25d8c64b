// What a real Git client sends, recorded between it and `git http-backend`, to be sent again by the load generator.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { root } from '../rig.mjs'

/** Headers of Git's own that an answer may depend on. */
const sent = ['git-protocol', 'accept-encoding', 'content-type', 'content-encoding', 'accept', 'user-agent']

async function gather(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The body of git-http-backend(1)'s answer to a request, and its headers as it writes them. */
async function askGit({ method, url, headers, body }) {
  const [path, query = ''] = url.split('?')
  const child = spawn('git', ['http-backend'], {
    env: {
      ...{ PATH: process.env.PATH, GIT_PROJECT_ROOT: root, GIT_HTTP_EXPORT_ALL: '1' },
      ...{ REQUEST_METHOD: method, PATH_INFO: path, QUERY_STRING: query },
      CONTENT_TYPE: headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '',
      GIT_PROTOCOL: headers['git-protocol'] ?? '',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(body)
  const answer = await gather(child.stdout)
  const end = answer.indexOf('\r\n\r\n')
  return { head: answer.subarray(0, end).toString(), answer: answer.subarray(end + 4) }
}

/**
 * What `client(url)` asks of the repository: requests {method, url, headers, body} in their order, each with Git's answer.
 * The last one is the fetch.
 */
export async function record(repository, client) {
  const requests = []
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request
    const each = { method, url, headers, body: await gather(request) }
    const { head, answer } = await askGit(each)
    requests.push({ ...each, answer })
    for (const line of head.split('\r\n')) response.setHeader(...line.split(/: (.*)/, 2))
    response.end(answer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await client(`http://127.0.0.1:${server.address().port}/${repository.name}`)
  server.close()
  server.closeAllConnections()
  return requests
}

/** A recorded request as it is sent to another repository, in the load generator's format. */
export function replay({ method, url, headers, body }, name, repository) {
  const lines = sent.filter((header) => headers[header]).map((header) => `${header}: ${headers[header]}`)
  if (body.length > 0) lines.push(`Content-Length: ${body.length}`)
  const path = url.replace(/^\/[^/]+/, `/${repository.name}`)
  const head = Buffer.from([`${method} ${path} HTTP/1.1`, 'Host: bench', ...lines, '', ''].join('\r\n'))
  const bytes = Buffer.concat([head, body])
  return Buffer.concat([Buffer.from(`${name} 1 ${bytes.length}\n`), bytes])
}
