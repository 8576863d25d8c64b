import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../random.js'
import { SidecarClient } from './answers.js'
import { compare, compareAgain, type Expected } from './comparison.js'
import { bulkNames, type ModelRepository } from './model-repository.js'
import { closeNames, type Step, type StepPlace } from './step.js'

export interface WalkOptions {
  /** The directory that the sidecar serves. */
  readonly root: string
  readonly repository: ModelRepository
  /** Of the sidecar. */
  readonly url: string
  readonly seed: number
  /** How many steps are made, each followed by a comparison. */
  readonly steps: number
  readonly kinds: readonly Step[]
}

/** What a walk has done. */
export interface Walked {
  /** How often each kind of step was made. */
  readonly counts: ReadonlyMap<string, number>
  /** How many steps in all were made by Git and failed. */
  readonly failed: number
}

/**
 * Milliseconds after which a state is settled. A change within that time is seen too: a step that follows at once has a
 * timestamp in the same timer tick.
 */
const settlingMs = 30

/**
 * Makes random changes, and compares the sidecar's answers with Git's after each: at once, and, after most steps, again
 * when the state has settled, so that the sidecar keeps what it lists and the next step finds something to be spliced.
 * @throws at the first difference, with the seed and the last steps
 */
export async function walk({ root, repository, url, seed, steps, kinds }: WalkOptions): Promise<Walked> {
  const random = new Random(seed)
  const client = new SidecarClient(url)
  const names = [...closeNames, ...bulkNames(repository.bulk).slice(0, 300)]
  const possible = kinds.filter(({ only }) => only === undefined || only === repository.refFormat)
  const log: string[] = []
  const counts = new Map<string, number>()
  let failed = 0
  let expected: Expected | undefined
  /** Compares at once, and perhaps again when the state has settled. */
  const compareAll = async (): Promise<Expected> => {
    const result = await compare(root, repository, client, random, [...names, ...(expected?.refs ?? [])])
    if (random.below(4) === 0) return result
    await sleep(settlingMs)
    await compareAgain(repository, client, random, result)
    if (random.below(4) === 0) await compareAgain(repository, client, random, result)
    return result
  }
  try {
    expected = await compareAll()
    for (let count = 0; count < steps; count++) {
      const place: StepPlace = {
        repository,
        random,
        names,
        refs: expected.refs,
        url: `${url}/${repository.served}`,
      }
      // Several changes within a timer tick are one step now and then.
      const together = random.below(5) === 0 ? 2 + random.below(2) : 1
      // An answer during the changes may show any of them; a fill of it must not be kept for what comes after.
      const meanwhile = random.below(3) > 0 ? [] : askDuring(client, repository, random)
      for (let each = 0; each < together; each++) {
        const step = pickStep(possible, random)
        const done = await step.run(place)
        log.push(`${count}: ${done}`)
        counts.set(step.name, (counts.get(step.name) ?? 0) + 1)
        if (done.includes('(failed)')) failed++
      }
      const during = Promise.all(meanwhile)
      // Half of the time, the comparison finds fills that began before the last change.
      if (random.below(2) === 0) await during
      expected = await compareAll()
      await during
    }
  } catch (error) {
    const last = log.slice(-25).join('\n')
    throw new Error(
      `REFSTREAM_SEED=${seed}, ${repository.name}, after step ${log.length}:\n${last}\n${(error as Error).message}`,
      { cause: error },
    )
  } finally {
    client.close()
  }
  return { counts, failed }
}

function askDuring(client: SidecarClient, repository: ModelRepository, random: Random): Promise<unknown>[] {
  const questions = ['v0', 'v1', { peel: true, symrefs: true, unborn: true, prefixes: [] }] as const
  return questions
    .slice(random.below(questions.length))
    .map((question) => client.answer(repository, question, 'identity'))
}

function pickStep(kinds: readonly Step[], random: Random): Step {
  const tenths = kinds.map(({ weight }) => Math.round(weight * 10))
  let at = random.below(tenths.reduce((sum, weight) => sum + weight, 0))
  return kinds.find((_, index) => (at -= tenths[index]!) < 0)!
}
