// Bare repositories of many refs: two thirds branches, a third annotated tags, each an object of its own, all packed.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { root } from '../rig.mjs'

export const marker = 'refs/heads/a-marker'
const person = 'b <b@example.com> 1700000000 +0000'
const types = { commit: 1, tree: 2, blob: 3, tag: 4 }

/** A pack of whole objects, gitformat-pack(5), as Git reads it from a pipe. */
class Pack {
  #parts = []

  /** Adds an object and gives its id. */
  add(type, text) {
    const body = Buffer.from(text)
    let left = body.length >> 4
    const head = [(types[type] << 4) | (body.length & 15)]
    for (; left > 0; left >>= 7) {
      head[head.length - 1] |= 128
      head.push(left & 127)
    }
    this.#parts.push(Buffer.from(head), deflateSync(body, { level: 1 }))
    return createHash('sha1').update(`${type} ${body.length}\0`).update(body).digest('hex')
  }

  finish() {
    const start = Buffer.from('PACK\0\0\0\u0002\0\0\0\0', 'latin1')
    start.writeUInt32BE(this.#parts.length / 2, 8)
    const pack = Buffer.concat([start, ...this.#parts])
    return Buffer.concat([pack, createHash('sha1').update(pack).digest()])
  }
}

/** Makes a repository of that many refs below the root; gives its name, path and some of its commits. */
export function makeRepository(name, refs) {
  const path = join(root, name)
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', path])
  const pack = new Pack()
  const tree = pack.add('tree', '')
  const commits = []
  for (let index = 0; index < 1000; index++) {
    const parent = index > 0 ? `parent ${commits[index - 1]}\n` : ''
    const text = `tree ${tree}\n${parent}author ${person}\ncommitter ${person}\n\ncommit ${index}\n`
    commits.push(pack.add('commit', text))
  }
  const tags = Math.floor(refs / 3)
  const number = (index) => String(index).padStart(7, '0')
  const commit = (index) => commits[index % commits.length]
  const lines = [`${commits[0]} ${marker}\n`]
  for (let index = 0; index < refs - tags - 2; index++)
    lines.push(`${commit(index)} refs/heads/branch-number-${number(index)}\n`)
  lines.push(`${commits.at(-1)} refs/heads/main\n`)
  for (let index = 0; index < tags; index++) {
    const text = `object ${commit(index)}\ntype commit\ntag release-${number(index)}\ntagger ${person}\n\nrelease\n`
    lines.push(`${pack.add('tag', text)} refs/tags/release-${number(index)}\n^${commit(index)}\n`)
  }
  execFileSync('git', ['index-pack', '--stdin'], { cwd: path, input: pack.finish(), stdio: 'pipe' })
  writeFileSync(join(path, 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`)
  return { name, path, refs, commits }
}
