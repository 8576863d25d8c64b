// The repository whose packs are asked for: a few thousand commits over a few thousand text files, and large blobs that do
// not compress. Its content is the same in each run. It is packed as a server has it some days after `git gc`: four
// fifths of the history in one pack with a bitmap, the commits since then in a second pack.
import { execFileSync } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../rig.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const kept = here('../../../.run/bench/repositories/')
const commitsPerDay = 50

/** Sizes of the whole benchmark's repository, about 100 MB packed, and of the quick one's, about 20 MB. */
const sizes = {
  whole: { commits: 4000, files: 4000, blobs: 80, blobBytes: 1_000_000 },
  quick: { commits: 1500, files: 1000, blobs: 32, blobBytes: 500_000 },
}

/** A stream of bytes that do not compress, the same for the same seed: AES-128-CTR over zeros. */
function noise(seed) {
  const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16))
  return (bytes) => cipher.update(Buffer.alloc(bytes))
}

const words =
  'return const if else for while new class function import export await throw null value key path ref'.split(
    ' ',
  )
const line = (random, at) => {
  const picked = Array.from({ length: 6 }, (_, index) => words[random[at + index] % words.length])
  return `  ${picked.join(' ')} ${random.readUInt16LE(at + 6).toString(36)}\n`
}

/** The history as git-fast-import(1) reads it: commits `from` to `to`, of which the first is on top of what is there. */
function* history({ commits, files, blobs, blobBytes }, from, to) {
  const pick = noise(`picks ${from}`)
  const data = (bytes) => Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')])
  const name = (index) => `src/part-${index % 40}/room-${index % 7}/file-${index}.ts`
  const text = (seed, lines) => {
    const random = noise(seed)(lines * 8)
    return Array.from({ length: lines }, (_, index) => line(random, index * 8))
  }
  /** A file's text: 80 lines of its own, one of which each change replaces. */
  const bodies = new Map()
  const change = (file, turn) => {
    const lines = bodies.get(file) ?? text(`file ${file}`, 80)
    bodies.set(file, lines)
    lines[turn % lines.length] = text(`line ${file} ${turn}`, 1)[0]
    return Buffer.from(lines.join(''))
  }
  for (let turn = from; turn < to; turn++) {
    yield `commit refs/heads/main\nmark :${turn + 1}\ncommitter b <b@example.com> ${1700000000 + Math.floor((turn / commitsPerDay) * 86400)} +0000\n`
    yield data(Buffer.from(`Change ${turn}\n`))
    if (turn === from && from > 0) yield 'from refs/heads/main^0\n'
    const random = pick(16)
    const changed = new Set([0, 2, 4, 6].map((at) => random.readUInt16LE(at) % files))
    if (turn === 0) for (let file = 0; file < files; file++) changed.add(file)
    for (const file of changed) yield* [`M 100644 inline ${name(file)}\n`, data(change(file, turn))]
    // Half of the large blobs replace an earlier one, so that a checkout has half of them.
    const every = Math.floor(commits / blobs)
    if (turn % every === 0) {
      const blob = Math.floor(turn / every)
      yield* [`M 100644 inline data/${blob % (blobs / 2)}.bin\n`, data(noise(`blob ${blob}`)(blobBytes))]
    }
    yield '\n'
  }
}

function importInto(path, pieces) {
  const stream = `${path}.stream`
  const file = openSync(stream, 'w')
  for (const piece of pieces) writeSync(file, piece)
  closeSync(file)
  const input = openSync(stream, 'r')
  execFileSync('git', ['-C', path, 'fast-import', '--quiet', '--force', '--depth=10'], {
    stdio: [input, 'inherit', 'inherit'],
  })
  closeSync(input)
  rmSync(stream)
}

/** Makes the repository at a path, in some ten seconds. */
function make(path, size) {
  const env = { ...process.env, GIT_COMMITTER_DATE: '1710000000 +0000' }
  const git = (...args) =>
    execFileSync('git', ['-C', path, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', path])
  git('config', 'fastimport.unpackLimit', '1')
  const gathered = Math.floor(size.commits * 0.8)
  importInto(path, history(size, 0, gathered))
  git('repack', '-adbq', '--window=5', '--depth=20')
  importInto(path, history(size, gathered, size.commits))
  git('config', '--unset', 'fastimport.unpackLimit')
  const person = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
  git(...person, 'tag', '-a', '-m', 'release', 'release-1', 'main~100')
  git('pack-refs', '--all')
}

function link(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  try {
    linkSync(from, to)
  } catch {
    // Another filesystem.
    copyFileSync(from, to)
  }
}

let copies = 0
/**
 * The repository, made once and kept in .run/bench/repositories/. `copy()` gives another one below the root, with its
 * packs as hard links: no cache knows it, and what Git reads of it is in memory. `commits` are the ids on main, the oldest first.
 */
export function packRepository(quick) {
  const size = sizes[quick ? 'quick' : 'whole']
  const version = execFileSync('git', ['--version']).toString()
  const digest = createHash('sha1')
    .update(readFileSync(here('pack-repository.mjs')))
    .update(version)
  const path = join(kept, `${digest.update(JSON.stringify(size)).digest('hex').slice(0, 12)}.git`)
  if (!existsSync(path)) {
    mkdirSync(kept, { recursive: true })
    const fresh = `${path}.${process.pid}`
    rmSync(fresh, { recursive: true, force: true })
    make(fresh, size)
    renameSync(fresh, path)
  }
  const commits = execFileSync('git', ['-C', path, 'rev-list', '--reverse', 'main'], { maxBuffer: 2 ** 24 })
  const copy = () => {
    const name = `packs-${copies++}.git`
    const to = join(root, name)
    const isPack = (file) => file.includes('/objects/pack/')
    cpSync(path, to, { recursive: true, filter: (file) => !isPack(file) })
    for (const file of readdirSync(join(path, 'objects/pack')))
      link(join(path, 'objects/pack', file), join(to, 'objects/pack', file))
    return { name, path: to }
  }
  return { path, copy, commits: commits.toString().trim().split('\n') }
}
