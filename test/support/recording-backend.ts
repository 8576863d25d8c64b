import type { Test } from 'tap'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { protocolVersion, type ProtocolVersion } from '../../src/git/protocol/version.js'
import { runHttpBackend } from './cgi.js'

/** A POST to git-upload-pack that a client has sent, and what Git answered. */
export interface Recorded {
  readonly version: ProtocolVersion
  /** Inflated. */
  readonly body: Buffer
  readonly answer: Buffer
}

/** Starts a server of the repositories below a root that answers by `git http-backend` and records requests for packs. */
export async function startRecordingBackend(
  t: Test,
  root: string,
): Promise<{ url: string; take: () => Recorded[] }> {
  let recorded: Recorded[] = []
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { url: target = '', method = 'GET', headers } = request
      const gitProtocol = headers['git-protocol'] as string | undefined
      const given = { 'content-type': headers['content-type'] ?? '', 'content-length': String(body.length) }
      // A client of version 0 that Git refuses sees its exit code as a broken response; nothing else is asked here.
      const answer = runHttpBackend(root, {
        target,
        method,
        headers: given,
        gitProtocol,
        body,
        ended: () => {},
      })
      if (target.endsWith('/git-upload-pack')) {
        const version = protocolVersion(gitProtocol)
        recorded.push({ version, body, answer: Buffer.from(answer.body, 'latin1') })
      }
      response.writeHead(answer.status, answer.headers).end(answer.body, 'latin1')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const take = (): Recorded[] => {
    const taken = recorded
    recorded = []
    return taken
  }
  return { url, take }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
}
