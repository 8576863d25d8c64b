// Requests that come whether or not earlier ones have been answered (an open loop), or N clients that each ask again as
// soon as they have their answer (a closed loop), in a process of its own. Each request has a connection of its own.
// Prints one JSON line; times are milliseconds of the machine's monotonic clock, and an answer's latency counts from the
// moment at which it was due, so that a generator that lags behind cannot make a server look fast.
//
//   node arrivals.mjs PLAN      PLAN is JSON: see the orders below
import { createConnection } from 'node:net'
import { constants, setPriority } from 'node:os'
import { cpuUsage, hrtime } from 'node:process'
import { clearTimeout, setTimeout } from 'node:timers'
import { setTimeout as sleep } from 'node:timers/promises'

/** Requests per second, or how many clients in a closed loop; `requests` are {kind, weight, repository, head, body}. */
const { url, rate, clients, seconds, seed, timeoutMs, requests } = JSON.parse(process.argv[2])
const { hostname, port } = new URL(url)
const now = () => Number(hrtime.bigint()) / 1e6

// Where permitted, the generator gets a higher priority than the servers, so that it is not the one that is late.
try {
  setPriority(constants.priority.PRIORITY_HIGH)
} catch {
  // Not permitted; the lateness below shows whether that matters.
}

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
let state = seed
function random() {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

const weights = requests.reduce((sum, { weight }) => sum + weight, 0)
function pick() {
  let at = random() * weights
  return requests.find(({ weight }) => (at -= weight) < 0) ?? requests[0]
}

/** Takes away what chunked coding has put in between. */
const unchunked = (text) => text.replace(/\r\n[0-9a-f]+\r\n/g, '')

/** Is this the whole answer to what was asked? And which object id does it give for the marker? */
function judge({ kind }, start, end, bytes) {
  const text = start.toString('latin1')
  const status = Number(text.slice(9, 12))
  if (status === 429) return { result: 'shed' }
  const bodyAt = text.indexOf('\r\n\r\n') + 4
  const announced = /^content-length: (\d+)/im.exec(text.slice(0, bodyAt))?.[1]
  const whole =
    announced === undefined
      ? unchunked(end.replace(/0\r\n\r\n$/, '0\r\n')).endsWith('0000')
      : end.endsWith('0000') && bytes - bodyAt === Number(announced)
  if (status !== 200 || !whole) return { result: 'wrong' }
  const body = unchunked(text.slice(bodyAt - 2))
  if (kind === 'capabilities') return { result: body.includes('version 2') ? 'right' : 'wrong' }
  if (kind === 'fetch') return { result: body.includes('\u0001PACK') ? 'right' : 'wrong' }
  const marker = /([0-9a-f]{40}) refs\/heads\/a-marker/.exec(body)?.[1]
  return { result: marker ? 'right' : 'wrong', marker }
}

/** At most this much of an answer's beginning is looked at. */
const startMax = 8192

function ask(request, due) {
  return new Promise((resolve) => {
    const sent = now()
    const beginning = []
    let [bytes, end] = [0, '']
    const done = (result) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ kind: request.kind, repository: request.repository, due, sent, ended: now(), ...result })
    }
    // One of many addresses on this machine, as clients have addresses of their own.
    const localAddress = `127.0.${1 + Math.floor(random() * 4)}.${1 + Math.floor(random() * 200)}`
    const socket = createConnection({ port: Number(port), host: hostname, localAddress })
      .on('data', (chunk) => {
        if (bytes < startMax) beginning.push(chunk.subarray(0, startMax))
        bytes += chunk.length
        end = (end + chunk.toString('latin1', Math.max(0, chunk.length - 32))).slice(-32)
      })
      .on('end', () => done(judge(request, Buffer.concat(beginning), end, bytes)))
      .on('error', ({ code }) => done({ result: 'error', code }))
    socket.write(request.head)
    if (request.body) socket.write(request.body)
    const timer = setTimeout(() => done({ result: 'timeout' }), Math.max(0, due + timeoutMs - sent))
  })
}

const answers = []
const begun = now()
const deadline = begun + seconds * 1000
if (clients) {
  const client = async () => {
    while (now() < deadline) answers.push(await ask(pick(), now()))
  }
  await Promise.all(Array.from({ length: clients }, client))
} else {
  let due = begun
  const next = () => (due += (-Math.log(1 - random()) / rate) * 1000)
  for (next(); due < deadline;) {
    for (; due <= now() && due < deadline; next()) answers.push(ask(pick(), due))
    await sleep(1)
  }
}
const { user, system } = cpuUsage()
const busy = (user + system) / 1e6 / ((now() - begun) / 1000)
console.log(JSON.stringify({ busy, answers: await Promise.all(answers) }))
