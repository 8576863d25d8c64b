import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { gitEnvironment } from '../repositories.js'
import { outputOf } from '../upstreams/programs.js'
import { asArguments, pickName, pickObject, type Step } from './step.js'

/** Libraries other than Git that change refs. Debian: python3-dulwich, python3-pygit2; all: `make ref-writers`. */
export type WriterKind = 'dulwich' | 'libgit2' | 'go-git' | 'jgit'

/** A process that changes refs, one command after the other. */
export interface RefWriter {
  /** Resolves when the change was made, or was refused. @returns the error; empty: it was made */
  send(...words: string[]): Promise<string>
}

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
/** Where build.mjs puts them. */
const place = join(cache, 'refstream-test', 'ref-writers')
const sourceOf = (file: string): string => fileURLToPath(new URL(`writers/${file}`, import.meta.url))

/** Returns the command that runs a writer; undefined: it is not here. */
export function commandOf(kind: WriterKind): readonly string[] | undefined {
  if (kind === 'go-git') {
    const program = join(place, 'go-git/refs')
    return existsSync(program) ? [program] : undefined
  }
  if (kind === 'jgit') {
    const path = join(place, 'jgit')
    const isHere = existsSync(path) && outputOf('java', '-version') !== undefined
    return isHere
      ? ['java', '-XX:TieredStopAtLevel=1', '-cp', `${path}:${path}/jars/*`, 'JgitRefs']
      : undefined
  }
  const module = kind === 'libgit2' ? 'pygit2' : 'dulwich'
  const pythons = [join(place, 'python/bin/python3'), 'python3', '/usr/bin/python3']
  const python = pythons.find((each) => outputOf(each, '-c', `import ${module}`) !== undefined)
  return python === undefined ? undefined : [python, sourceOf(`${kind}-refs.py`)]
}

/** Starts a writer on a repository, and resolves when it is ready. Ended with the test. */
export async function startWriter(
  t: Test,
  command: readonly string[],
  directory: string,
): Promise<RefWriter> {
  const [program, ...args] = command
  const child = spawn(program!, [...args, directory], {
    env: { ...gitEnvironment, HOME: directory },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: AsyncIterator<string, undefined> = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${program} has ended`)
    return value
  }
  const first = await next()
  if (first !== 'ready') throw new Error(`${program}: ${first}`)
  return {
    async send(...words) {
      child.stdin.write(`${words.join(' ')}\n`)
      const answer = await next()
      return answer === 'ok' ? '' : answer
    },
  }
}

/** Returns the changes that a writer makes. */
export function stepsOf(kind: WriterKind, writer: RefWriter): Step[] {
  const send = async (...words: string[]): Promise<string> => {
    const error = await writer.send(...words)
    return `${kind}: ${words.join(' ')}${error ? ` (failed): ${error}` : ''}`
  }
  return [
    {
      name: `set by ${kind}`,
      weight: 10,
      run: (place) => {
        const plain = { ...place, names: asArguments(place.names), refs: asArguments(place.refs) }
        const ref = pickName(plain)
        return send('set', ref, pickObject(plain, ref))
      },
    },
    {
      name: `deleted by ${kind}`,
      weight: 5,
      run: ({ random, refs }) => {
        const there = asArguments(refs)
        return there.length > 0 ? send('delete', random.pick(there)) : Promise.resolve('no ref')
      },
    },
    {
      name: `symbolic by ${kind}`,
      weight: 3,
      run: ({ random, names, refs }) => {
        const targets = asArguments([...names, ...refs])
        const alias = random.pick(['refs/heads/alias', 'refs/remotes/o/HEAD', 'HEAD'])
        return send('symbolic', alias, random.pick(targets.filter((name) => name !== alias)))
      },
    },
    { name: `packed by ${kind}`, weight: 3, run: () => send('pack') },
  ]
}
