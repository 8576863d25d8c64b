// Not a contender: node:http that writes a buffer with Content-Length. What a Node server that decides nothing can do.
//
//   node bare-node.mjs PORT FILES ADDRESS
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [port, files, address] = process.argv.slice(2)
const bodies = new Map()
const read = (path) => {
  const body = readFileSync(files + path)
  bodies.set(path, body)
  return body
}

createServer((request, response) => {
  const path = request.url.slice(0, request.url.indexOf('?'))
  const body = bodies.get(path) ?? read(path)
  response.writeHead(200, {
    'Content-Type': 'application/x-git-upload-pack-advertisement',
    'Content-Length': body.length,
    'Cache-Control': 'no-cache, max-age=0, must-revalidate',
  })
  response.end(body)
}).listen(Number(port), address, 4096)
