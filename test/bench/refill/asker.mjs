// One client on one kept connection, which looks for a value in the answer as it comes.
import { Agent, request } from 'node:http'

const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text
const lsRefs = (prefixes) =>
  [
    ...[packet('command=ls-refs\n'), packet('agent=bench\n'), packet('object-format=sha1\n'), '0001'],
    ...[packet('peel\n'), packet('symrefs\n'), packet('unborn\n')],
    ...[...prefixes.map((prefix) => packet(`ref-prefix ${prefix}\n`)), '0000'],
  ].join('')

/** kind → how a repository is asked for a ref. */
export const kinds = {
  'v2, one prefix': (ref) => ({ body: lsRefs([ref]) }),
  'v2, all refs': () => ({ body: lsRefs([]) }),
  'v0, all refs': () => ({}),
}

/** The same question as kinds[kind] gives, for a process of Git's own. */
export const questionFor = (ref) => lsRefs([ref])

export class Asker {
  #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  #port

  constructor(port) {
    this.#port = port
  }

  /** Milliseconds until a value was seen, and until the end, of one answer. @throws if it is not a right one */
  ask(name, kind, ref, value) {
    const { body } = kinds[kind](ref)
    const path = body ? `/${name}/git-upload-pack` : `/${name}/info/refs?service=git-upload-pack`
    const headers = body
      ? { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
      : {}
    const method = body ? 'POST' : 'GET'
    const options = { host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers }
    const started = performance.now()
    return new Promise((resolve, reject) => {
      let first
      let cut = Buffer.alloc(0)
      let bytes = 0
      const read = (chunk) => {
        bytes += chunk.length
        if (first !== undefined) return
        if (Buffer.concat([cut, chunk.subarray(0, 200)]).includes(value) || chunk.includes(value))
          first = performance.now() - started
        cut = Buffer.from(chunk.subarray(-100))
      }
      const asked = request(options, (response) => {
        response.on('data', read).on('error', reject)
        response.on('end', () => {
          const whole = performance.now() - started
          if (response.statusCode === 200 && first !== undefined) resolve({ first, whole, bytes })
          else
            reject(
              new Error(`${kind} of ${name}: ${response.statusCode}, without ${value} in ${bytes} bytes`),
            )
        })
      })
      asked.on('error', reject)
      asked.end(body)
    })
  }

  close() {
    this.#agent.destroy()
  }
}
