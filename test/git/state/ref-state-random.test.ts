import t from 'tap'
import { equal } from 'node:assert'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { StateDigest } from '../../../src/git/state/repository-state.js'
import { makeRefObserver } from '../../support/ref-observations.js'
import { git, initBare, makeCommit } from '../../support/repositories.js'

/** Remembers the state of each settled token. @throws if one token stands for two states, which would make answers stale */
class Tokens {
  readonly #states = new Map<string, string>()

  check({ token, unsettledMs }: StateDigest, state: string): void {
    if (unsettledMs > 0) return
    equal(state, this.#states.get(token) ?? state, 'one token, two states')
    this.#states.set(token, state)
  }

  get size(): number {
    return this.#states.size
  }
}

/** Waits without a yield to the event loop, so that nothing else runs meanwhile. */
const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

t.test('one settled token stands for one state over random Git commands', async (t) => {
  const { root, now, settled } = makeRefObserver(t)
  const name = fc.constantFrom('refs/heads/main', 'refs/heads/a', 'refs/heads/d/e', 'refs/tags/t', 'refs/x/y')
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant('update'), name, fc.constantFrom('one', 'two')) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('delete'), name) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('symref', 'head'), name) },
    fc.tuple(fc.constantFrom('detach', 'pack', 'gc', 'config')),
  )
  let repositories = 0
  let distinct = 0
  const property = fc.asyncProperty(
    fc.array(operation, { minLength: 3, maxLength: 9 }),
    async (operations) => {
      const path = initBare(root, `${++repositories}.git`)
      const commits = { one: makeCommit(path, 'one'), two: makeCommit(path, 'two') }
      const run = (...args: string[]): string => git(path, ...args)
      const seen = (): string =>
        [run('for-each-ref'), readFileSync(join(path, 'HEAD')), run('config', '--list')].join()
      const tokens = new Tokens()
      for (const [kind, ref = '', commit = 'one'] of operations) {
        try {
          if (kind === 'update') run('update-ref', ref, commits[commit])
          else if (kind === 'delete') run('update-ref', '--no-deref', '-d', ref)
          else if (kind === 'symref') run('symbolic-ref', 'refs/heads/alias', ref)
          else if (kind === 'head') run('symbolic-ref', 'HEAD', ref)
          else if (kind === 'detach') run('update-ref', '--no-deref', 'HEAD', commits.two)
          else if (kind === 'pack') run('pack-refs', '--all')
          else if (kind === 'gc') run('gc', '--quiet')
          else run('config', 'a.b', String(tokens.size))
        } catch {
          // Some operations fail in some states; a half-done one is as good a test.
        }
        const observed = (await now(`${repositories}`))?.refs
        const state = seen()
        if (observed) tokens.check(observed, state)
        tokens.check((await settled(`${repositories}`)).refs, state)
      }
      tokens.check((await settled(`${repositories}`)).refs, seen())
      distinct += tokens.size
    },
  )
  await fc.assert(property, { numRuns: 12 })
  t.ok(distinct > 30, `${distinct} settled states`)
})

t.test('changes at any distance in time, down to the clock’s tick, move the token', async (t) => {
  const { root, now } = makeRefObserver(t)
  const path = initBare(root, 'x.git')
  const ref = join(path, 'refs/heads/main')
  const oids = ['1', '2', '3'].map((digit) => digit.repeat(40))
  const tokens = new Tokens()
  const observations = { settled: 0, unsettled: 0 }
  for (let count = 0; count < 250; count++) {
    const oid = oids[count % oids.length]!
    // As Git writes a ref, but faster than a Git process: written beside it and renamed over it.
    writeFileSync(`${ref}.lock`, `${oid}\n`)
    renameSync(`${ref}.lock`, ref)
    // From far below a tick to slightly beyond the time after which a timestamp is trusted.
    for (const ms of [0, (count * 7) % 29]) {
      if (ms > 0) pause(ms)
      const observed = (await now('x'))!.refs
      observations[observed.unsettledMs === 0 ? 'settled' : 'unsettled']++
      // Each change is another state, even if the bytes are the same again: `count` differs.
      tokens.check(observed, String(count))
    }
  }
  t.ok(observations.settled > 20 && observations.unsettled > 20, JSON.stringify(observations))
})
