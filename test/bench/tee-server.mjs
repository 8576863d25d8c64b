// A cache as one might build it first, to compare with: while a lease is open it is passed by; otherwise a committed
// file answers, or, if there is none, each request starts a process of its own and writes what it passes on to a file,
// which is committed when its client has it all. Answers `GET …/info/refs?service=git-upload-pack` in protocol v0, and
// `POST /v1/leases` and `DELETE /v1/leases/ID` as refstream does.
//
//   node tee-server.mjs ROOT GIT DIRECTORY      prints its URL; /counts returns what it has written
import { spawn } from 'node:child_process'
import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [root, git, directory] = process.argv.slice(2)
const head = {
  'Cache-Control': 'no-cache',
  'Content-Type': 'application/x-git-upload-pack-advertisement',
}
const service = '001e# service=git-upload-pack\n0000'

const leases = new Set()
const running = new Set()
const counts = { hits: 0, bypassed: 0, teed: 0, committed: 0, redundant: 0, redundantBytes: 0 }
let generation = 0
let files = 0
/** The file that answers, if one has been committed since the last change. */
let committed

function start(request, response) {
  const path = join(root, new URL(request.url, 'http://localhost').pathname.replace(/\/info\/refs$/, ''))
  const child = spawn(git, ['upload-pack', '--stateless-rpc', '--advertise-refs', path], {
    env: { ...process.env, GIT_PROTOCOL: '' },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  running.add(child)
  // Not when its output has been read, which may be never: by then its number may be another's.
  child.once('exit', () => running.delete(child))
  response.once('close', () => end(child))
  response.writeHead(200, head).write(service)
  child.stdout.pipe(response)
  return child
}

/** Ends a process and what it has started. */
function end(child) {
  if (!running.has(child)) return
  try {
    process.kill(-child.pid)
  } catch {
    // It went by itself.
  }
}

function tee(request, response) {
  counts.teed++
  const begun = generation
  const path = join(directory, `tee-${files++}`)
  const child = start(request, response)
  // The slower of the two, client or disk, sets the pace.
  const file = child.stdout.pipe(createWriteStream(path))
  file.write(service)
  response.once('close', () => {
    child.stdout.unpipe(file)
    file.end(() => {
      if (response.writableFinished && generation === begun && !committed) {
        committed = `${path}-committed`
        renameSync(path, committed)
        counts.committed++
      } else {
        counts.redundant++
        counts.redundantBytes += file.bytesWritten
        rmSync(path)
      }
    })
  })
}

function changed() {
  generation++
  if (committed) rmSync(committed)
  committed = undefined
}

const json = (response, status, body) =>
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))

const server = createServer((request, response) => {
  if (request.url === '/counts') return json(response, 200, counts)
  if (request.method === 'POST') {
    const id = String(generation)
    leases.add(id)
    changed()
    return json(response, 201, { id })
  }
  if (request.method === 'DELETE') {
    leases.delete(request.url.split('/').at(-1))
    changed()
    return response.writeHead(204).end()
  }
  if (leases.size > 0) {
    counts.bypassed++
    start(request, response)
  } else if (committed) {
    counts.hits++
    response.writeHead(200, { ...head, 'Content-Length': statSync(committed).size })
    createReadStream(committed).pipe(response)
  } else tee(request, response)
})
process.once('SIGTERM', () => {
  running.forEach(end)
  process.exit()
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
