// Clients in a closed loop, in a process of their own: each asks again as soon as it has its whole answer, over a
// connection that it keeps. Half of them list refs in protocol v0 (one request), half in v2 (two). Prints one JSON line: for
// each answer when it was asked for, when it ended (milliseconds of the machine's monotonic clock), the object id that it
// gave for a ref, and the protocol version.
//
//   node loop-readers.mjs URL READERS SECONDS REF
import { Agent, request } from 'node:http'
import { hrtime } from 'node:process'

const [, , url, readers, seconds, ref] = process.argv
const pattern = new RegExp(`([0-9a-f]{40}) ${ref}`)
const now = () => Number(hrtime.bigint()) / 1e6
const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const lsRefs =
  packet('command=ls-refs\n') +
  packet('object-format=sha1\n') +
  '0001' +
  packet('peel\n') +
  packet('symrefs\n') +
  '0000'

const ask = (agent, path, headers, body) =>
  new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      { agent, headers, method: body === undefined ? 'GET' : 'POST' },
      (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('latin1')
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`${response.statusCode} ${text}`))
        })
      },
    )
    sent.on('error', reject).end(body)
  })

const infoRefs = '/info/refs?service=git-upload-pack'
const v2 = { 'Git-Protocol': 'version=2' }
const post = { ...v2, 'Content-Type': 'application/x-git-upload-pack-request' }

const answers = []
const deadline = now() + Number(seconds) * 1000
async function reader(version) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  while (now() < deadline) {
    const start = now()
    if (version === 2) await ask(agent, infoRefs, v2)
    // The refs are as new as the request that asked for them.
    const asked = now()
    const text =
      version === 2 ? await ask(agent, '/git-upload-pack', post, lsRefs) : await ask(agent, infoRefs, {})
    answers.push({ version, start, asked, end: now(), value: pattern.exec(text)?.[1] })
  }
  agent.destroy()
}
await Promise.all(Array.from({ length: Number(readers) }, (_, index) => reader(index % 2 === 0 ? 0 : 2)))
console.log(JSON.stringify(answers))
