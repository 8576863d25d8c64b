import t from 'tap'
import fc from 'fast-check'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startServer } from '../../src/index.js'
import { askFor, refsIn, type Question } from '../support/permission-client.js'
import { oidOf, PermissionServer, type Permitted } from '../support/permission-server.js'
import { tempDir } from '../support/temp-dir.js'

/*
 * Random clients ask random questions while permissions change; each answer must be one that the server itself would have
 * given to that very client, now or within the bounds.
 */

const people: Record<string, string | undefined> = {
  anonymous: undefined,
  alice: 'Basic YWxpY2U6YQ==',
  bob: 'Bearer bob',
  stranger: 'Bearer wrong',
}
type Person = 'anonymous' | 'alice' | 'bob' | 'stranger'
const paths = ['public', 'secret'] as const
const users = { 'Basic YWxpY2U6YQ==': 'alice', 'Bearer bob': 'bob' }

interface Asked {
  readonly who: Person
  readonly path: (typeof paths)[number]
  readonly question: Question
}

type Step =
  | { readonly asks: readonly Asked[]; readonly awaited: boolean }
  | { readonly change: Partial<Permitted> | undefined; readonly path: (typeof paths)[number] }
  | { readonly revokes: 'alice' | 'bob' }
  | { readonly givesBack: true }
  | { readonly waitsMs: number }
  | { readonly restarts: true }

const asked = fc.record({
  who: fc.constantFrom<Person>('anonymous', 'alice', 'alice', 'bob', 'bob', 'stranger'),
  path: fc.constantFrom(...paths),
  question: fc.constantFrom<Question>('v2', 'v0', 'refs/', 'refs/heads/', 'refs/users/', 'pack', 'HEAD'),
})
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ asks: fc.array(asked, { minLength: 1, maxLength: 5 }), awaited: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      path: fc.constantFrom(...paths),
      change: fc.oneof(
        fc.record({ readers: fc.subarray(['alice', 'bob', 'anyone']) }),
        fc.record({ content: fc.constantFrom('one', 'two', 'three') }),
        fc.constant(undefined),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ revokes: fc.constantFrom('alice' as const, 'bob' as const) }) },
  { weight: 1, arbitrary: fc.record({ givesBack: fc.constant(true as const) }) },
  { weight: 3, arbitrary: fc.record({ waitsMs: fc.integer({ min: 0, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ restarts: fc.constant(true as const) }) },
) as fc.Arbitrary<Step>

interface Mode {
  readonly view: 'credential' | 'shared'
  /** Milliseconds. */
  readonly bound: number
  readonly verdict: number
}

const seconds = (ms: number): string => String(ms / 1000)

class Run {
  readonly #server: PermissionServer
  readonly #mode: Mode
  readonly #cacheDir: string
  #sidecar: Awaited<ReturnType<typeof startServer>> | undefined
  /** When a question of a client was sent that was refused, by client and path: nothing older than that may allow it later. */
  readonly #refused = new Map<string, number>()

  constructor(server: PermissionServer, mode: Mode, cacheDir: string) {
    this.#server = server
    this.#mode = mode
    this.#cacheDir = cacheDir
  }

  async perform(steps: readonly Step[]): Promise<string[]> {
    const wrong: string[] = []
    const running: Promise<unknown>[] = []
    await this.#restart()
    try {
      for (const step of steps) {
        if ('asks' in step) {
          running.push(...step.asks.map(async (each) => wrong.push(...(await this.#check(each)))))
          if (step.awaited) await Promise.all(running.splice(0))
        } else if ('change' in step) this.#server.change(step.path, step.change)
        else if ('revokes' in step) this.#server.revoke(people[step.revokes]!)
        else if ('givesBack' in step) this.#server.permissions = { ...this.#server.permissions, users }
        else if ('waitsMs' in step) await sleep(step.waitsMs)
        else {
          await Promise.all(running.splice(0))
          await this.#restart()
        }
      }
      await Promise.all(running.splice(0))
    } finally {
      await this.close()
    }
    return wrong
  }

  async #restart(): Promise<void> {
    const { view, bound, verdict } = this.#mode
    await this.close()
    this.#sidecar = await startServer({
      ...{ upstream: this.#server.url, upstreamView: view, authCacheSeconds: seconds(verdict) },
      ...{ upstreamFreshness: bound === 0 ? 'exact' : `bounded:${seconds(bound)}`, cacheDir: this.#cacheDir },
      ...{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' },
    })
  }

  async close(): Promise<void> {
    await this.#sidecar?.close()
    this.#sidecar = undefined
  }

  /** Asks, and returns what is wrong with the answer. */
  async #check({ who, path, question }: Asked): Promise<string[]> {
    const authorization = people[who]
    const wanted = oidOf(this.#server.permissions.repositories[path]?.content ?? 'one', 'refs/heads/main')
    const key = `${who} ${path}`
    const sent = performance.now()
    const before = this.#refused.get(key) ?? -Infinity
    const headers = authorization === undefined ? {} : { Authorization: authorization }
    const answer = await askFor(this.#sidecar!.url, path, question, headers, wanted)
    const got = performance.now()
    const truths = (from: number) => this.#server.truths(authorization, path, Math.max(from, before), got)
    const { bound, verdict, view } = this.#mode
    const asksForItself = bound === 0 && view === 'credential'
    const isStrict =
      question === 'HEAD' || (question === 'v2' && bound === 0) || (asksForItself && question !== 'pack')
    const decided = isStrict ? sent : sent - verdict
    const told = `${JSON.stringify({ who, path, question, status: answer.status })}: ${answer.body.toString('latin1')}`
    // A question that was asked in the name of another client, who has lost the permission meanwhile.
    const isOthers = view === 'shared' && answer.status === 503 && told.includes('has refused this to')
    if (isOthers) return []
    if (answer.status !== 200) {
      if (question !== 'HEAD') this.#refused.set(key, sent)
      const isTrue = this.#server
        .truths(authorization, path, decided - bound, got)
        .includes(answer.status as 401 | 404)
      return isTrue ? [] : [`no such refusal: ${told}`]
    }
    const may = truths(decided).some((each) => typeof each === 'object')
    if (!may) return [`may not: ${told}`]
    if (question === 'v2') return []
    if (question === 'pack')
      return this.#checkPack(answer.body.toString('latin1'), authorization, path, got, told)
    const seen = question === 'HEAD' ? (JSON.parse(answer.body.toString()) as object) : refsIn(answer)
    const contents =
      view === 'shared' && question !== 'HEAD'
        ? this.#server.contents(path, sent - bound, got)
        : this.#server.truths(authorization, path, isStrict ? sent : sent - bound, got)
    const isShown = contents.some((refs) => JSON.stringify(shownOf(refs, question)) === JSON.stringify(seen))
    return isShown ? [] : [`not what it may see: ${told}`]
  }

  #checkPack(
    body: string,
    authorization: string | undefined,
    path: string,
    got: number,
    told: string,
  ): string[] {
    const [, oid] = /PACK of ([0-9a-f]{40})/.exec(body) ?? []
    if (oid === undefined) return body.includes('not our ref') ? [] : [`no pack: ${told}`]
    const ever =
      this.#mode.view === 'shared'
        ? this.#server.contents(path, 0, got)
        : this.#server.truths(authorization, path, 0, got)
    return ever.some((refs) => Object.values(refs).includes(oid)) ? [] : [`a pack of others: ${told}`]
  }
}

const shownOf = (refs: object | number, question: Question): object =>
  Object.fromEntries(
    Object.entries(refs).filter(([name]) => !/^refs\/./.test(question) || name.startsWith(question)),
  )

const modes: Mode[] = (['credential', 'shared'] as const).flatMap((view) => [
  { view, bound: 0, verdict: 0 },
  { view, bound: 0, verdict: 50 },
  { view, bound: 40, verdict: 20 },
  { view, bound: 20, verdict: 60 },
])

for (const mode of modes) {
  t.test(`each client gets what it may see: ${JSON.stringify(mode)}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const server = new PermissionServer(
          {
            users,
            repositories: {
              public: { readers: ['anyone'], content: 'public' },
              secret: { readers: ['alice'], content: 'secret' },
            },
          },
          mode.view === 'shared',
        )
        let count = 0
        // Answers take different times, so that they overlap.
        server.beforeAnswer = () => sleep((count++ * 7) % 11)
        await server.start(t)
        const wrong = await new Run(server, mode, join(tempDir(t), 'cache')).perform(steps)
        t.same(wrong, [])
        if (wrong.length > 0) throw new Error(wrong.join('\n'))
      }),
      { numRuns: 8, endOnFailure: true },
    )
  })
}
