// Readers in a closed loop, in a process of their own: each asks again as soon as it has its whole answer. Prints one
// JSON line: for each answer when it was asked for, when it ended (milliseconds of the machine's monotonic clock), and
// the object id that it gave for a ref.
//
//   node readers.mjs URL READERS SECONDS REF
import { createConnection } from 'node:net'
import { hrtime } from 'node:process'

const [, , url, readers, seconds, ref] = process.argv
const { hostname, port, pathname, search } = new URL(url)
const request = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`
const pattern = new RegExp(`([0-9a-f]{40}) ${ref}`)
const now = () => Number(hrtime.bigint()) / 1e6

const read = () =>
  new Promise((resolve, reject) => {
    const start = now()
    let head = ''
    createConnection(Number(port), hostname, function () {
      this.write(request)
    })
      .on('data', (chunk) => {
        if (head.length < 4096) head += chunk.toString('latin1', 0, 4096)
      })
      .on('end', () => resolve({ start, end: now(), value: pattern.exec(head)?.[1] }))
      .on('error', reject)
  })

const deadline = now() + Number(seconds) * 1000
const answers = []
const reader = async () => {
  while (now() < deadline) answers.push(await read())
}
await Promise.all(Array.from({ length: Number(readers) }, reader))
console.log(JSON.stringify(answers))
