// A cold storm: 200 readers at once on 100,000 refs, refstream beside plain `git http-backend`, in turn, in one run.
//
//   make build && node test/bench/storm.mjs [READERS] [REFS] [ROUNDS]
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServer } from 'refstream'

const [readers, refs, rounds] = [200, 100_000, 3].map((value, index) =>
  Number(process.argv[index + 2] ?? value),
)
const directory = mkdtempSync(join(tmpdir(), 'refstream-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))

const root = join(directory, 'root')
const repository = join(root, 'r.git')
const git = (...args) => execFileSync('git', args, { cwd: repository, input: '' }).toString().trim()

function makeRepository() {
  execFileSync('git', ['init', '--quiet', '--bare', repository])
  const tree = git('hash-object', '-t', 'tree', '-w', '--stdin')
  const commit = git('-c', 'user.name=b', '-c', 'user.email=b@example.com', 'commit-tree', tree, '-m', 'one')
  const lines = Array.from({ length: refs }, (_, index) => {
    return `${commit} refs/heads/branch-number-${String(index).padStart(7, '0')}\n`
  })
  writeFileSync(
    join(repository, 'packed-refs'),
    `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`,
  )
}

/** Counts every Git process that either server starts. */
function makeWrapper() {
  const path = join(directory, 'git')
  writeFileSync(path, `#!/bin/sh\necho "$1" >> '${directory}/calls'\nexec git "$@"\n`)
  chmodSync(path, 0o755)
  return path
}

function processes() {
  const calls = readFileSync(join(directory, 'calls'), 'utf8').split('\n')
  writeFileSync(join(directory, 'calls'), '')
  return calls.filter((command) => command === 'upload-pack' || command === 'http-backend').length
}

/** As little as a server can do around `git http-backend`: one process per request, its output piped out. */
async function startPlain(wrapper) {
  const environment = {
    ...process.env,
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: '1',
    REQUEST_METHOD: 'GET',
  }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    const child = spawn(wrapper, ['http-backend'], {
      env: { ...environment, PATH_INFO: pathname, QUERY_STRING: searchParams.toString() },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout.once('data', (chunk) => {
      response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-advertisement' })
      response.write(chunk.subarray(chunk.indexOf('\r\n\r\n') + 4))
      child.stdout.pipe(response)
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, close: async () => server.close() }
}

const startRefstream = (wrapper) =>
  startServer({
    root,
    git: wrapper,
    exportAll: true,
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    cacheDir: mkdtempSync(join(directory, 'cache-')),
  })

async function load(url) {
  const child = spawn(process.execPath, [
    fileURLToPath(new URL('load.mjs', import.meta.url)),
    url,
    String(readers),
  ])
  const output = []
  for await (const chunk of child.stdout) output.push(chunk)
  return JSON.parse(Buffer.concat(output).toString())
}

const at = (values, share) => [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1]

makeRepository()
const wrapper = makeWrapper()
writeFileSync(join(directory, 'calls'), '')
const contenders = { refstream: startRefstream, 'git http-backend': startPlain }
console.log(`${readers} readers at once, ${refs} refs; times in ms, median of ${rounds} rounds`)
console.log('| server | processes | first byte p50 | first byte p99 | last byte p50 | last byte p99 |')
console.log('| --- | --- | --- | --- | --- | --- |')
const results = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const [name, start] of Object.entries(contenders)) {
    const server = await start(wrapper)
    const seen = await load(`${server.url}/r.git/info/refs?service=git-upload-pack`)
    if (seen.some(({ bytes }) => bytes < refs * 60)) throw new Error(`${name} sent too little`)
    const [first, last] = ['first', 'last'].map((key) => seen.map((each) => each[key]))
    results[name].push([processes(), at(first, 0.5), at(first, 0.99), at(last, 0.5), at(last, 0.99)])
    await server.close()
  }
}
for (const [name, rows] of Object.entries(results)) {
  const medians = rows[0].map((_, column) =>
    Math.round(
      at(
        rows.map((row) => row[column]),
        0.5,
      ),
    ),
  )
  console.log(`| ${name} | ${medians.join(' | ')} |`)
}
process.exit(0)
