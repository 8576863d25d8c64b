// A load generator in a process of its own: N readers at once, each on a connection of its own, over raw sockets, so
// that reading costs as little as it can. Prints one JSON line: milliseconds from the start to each reader's first and
// last byte, and the bytes that each got.
//
//   node load.mjs URL READERS
import { createConnection } from 'node:net'
import { performance } from 'node:perf_hooks'

const [, , target, readers] = process.argv
const { hostname, port, pathname, search } = new URL(target)
const request = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`

const started = performance.now()
const read = () =>
  new Promise((resolve, reject) => {
    let first
    let bytes = 0
    createConnection(Number(port), hostname)
      .on('connect', function () {
        this.write(request)
      })
      .on('data', (chunk) => {
        first ??= performance.now() - started
        bytes += chunk.length
      })
      .on('end', () => resolve({ first, last: performance.now() - started, bytes }))
      .on('error', reject)
  })
console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(readers) }, read))))
