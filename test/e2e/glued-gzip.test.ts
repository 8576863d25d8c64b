import t from 'tap'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { GzipPieces } from '../../src/service/gzip-pieces.js'
import { Rope } from '../../src/streamcache/index.js'

const run = promisify(execFile)

const pkt = (line: string): string => (line.length + 4).toString(16).padStart(4, '0') + line
const refs = Array.from({ length: 5000 }, (_, index) => `${'1'.repeat(40)} refs/heads/b${index}`)
const body = Buffer.from(
  [
    `${pkt('# service=git-upload-pack\n')}0000${pkt(`${refs[0]}\0agent=x\n`)}`,
    ...refs.slice(1).map((ref) => pkt(`${ref}\n`)),
    '0000',
  ].join(''),
)

t.test('real clients read what is glued', async (t) => {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length; at += 30_001) chunks.push(body.subarray(at, at + 30_001))
  const stream = await new GzipPieces().gzip(new Rope(chunks))
  const asked: (string | undefined)[] = []
  const server = createServer(({ headers }, response) => {
    asked.push(headers['accept-encoding'])
    response.writeHead(200, {
      'Content-Type': 'application/x-git-upload-pack-advertisement',
      'Content-Encoding': 'gzip',
    })
    for (const part of stream) response.write(part)
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/r.git`

  t.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(body), 'fetch')
  const options = { encoding: 'buffer', maxBuffer: 1 << 24 } as const
  t.ok((await run('curl', ['-s', '--compressed', url], options)).stdout.equals(body), 'curl')
  const { stdout } = await run('git', ['ls-remote', url], options)
  t.equal(stdout.toString(), refs.map((ref) => `${ref.replace(' ', '\t')}\n`).join(''), 'git')
  t.ok(asked.every((header) => header?.includes('gzip')))
})
