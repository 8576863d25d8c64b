// Clients in a closed loop, in a process of their own, each with a pace of its own: some read at a given rate, some of
// these vanish midway, some read as fast as they can. Each request has a connection of its own. Prints one JSON line;
// times are milliseconds of the machine's monotonic clock.
//
//   node slow-readers.mjs URL SECONDS BYTES-PER-SECOND SLOW VANISHING FAST LENGTH      LENGTH: bytes of a whole answer
import { createConnection } from 'node:net'
import { hrtime } from 'node:process'
import { setTimeout } from 'node:timers'
import { setTimeout as sleep } from 'node:timers/promises'

const [url, ...numbers] = process.argv.slice(2)
const [seconds, rate, slow, vanishing, fast, length] = numbers.map(Number)
const { hostname, port, pathname, search } = new URL(url)
const request = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`
const now = () => Number(hrtime.bigint()) / 1e6
const deadline = now() + seconds * 1000

const bytesOf = { slow: 0, vanishing: 0, fast: 0 }
const answers = []

/** One request, to its end, to where its reader vanishes, or to the deadline. */
function read(kind) {
  const leaveAfter = kind === 'vanishing' ? Math.random() * Math.min(length, rate * seconds) : Infinity
  return new Promise((resolve) => {
    const sent = now()
    let [head, end, bytes] = ['', '', 0]
    const done = (result) => {
      socket.destroy()
      if (result) {
        const marker = /([0-9a-f]{40}) refs\/heads\/a-marker/.exec(head)?.[1]
        answers.push({ kind, sent, ended: now(), result, marker })
      }
      resolve()
    }
    const socket = createConnection(Number(port), hostname)
      .on('data', (chunk) => {
        if (head.length < 4096) head += chunk.toString('latin1', 0, 4096)
        end = (end + chunk.toString('latin1', Math.max(0, chunk.length - 32))).slice(-32)
        bytes += chunk.length
        bytesOf[kind] += chunk.length
        if (now() > deadline) return done()
        if (bytes > leaveAfter) return done('vanished')
        if (kind === 'fast') return
        const aheadMs = (bytes / rate) * 1000 - (now() - sent)
        if (aheadMs < 50) return
        socket.pause()
        setTimeout(() => socket.resume(), Math.min(aheadMs, deadline - now() + 1))
      })
      .on('end', () => done(/0000(\r\n0\r\n\r\n)?$/.test(end) && bytes > length ? 'whole' : 'broken'))
      .on('error', () => done('broken'))
    socket.write(request)
  })
}

const client = async (kind) => {
  // Not all in the same instant, and not in step.
  await sleep(Math.random() * 2000)
  while (now() < deadline) await read(kind)
}
const clients = Object.entries({ slow, vanishing, fast }).flatMap(([kind, count]) =>
  Array.from({ length: count }, () => client(kind)),
)
// Readers of a server that sends nothing are not waited for.
await Promise.race([Promise.all(clients), sleep(seconds * 1000 + 3000)])
// Not before all of it is in the pipe.
process.stdout.write(JSON.stringify({ bytesOf, answers }), () => process.exit())
