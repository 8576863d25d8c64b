import type { Random } from '../random.js'
import {
  answersOfGit,
  codings,
  packetsOf,
  type AnswerBytes,
  type Question,
  type SidecarClient,
} from './answers.js'
import type { ModelRepository } from './model-repository.js'

/** Git's answers to some questions about one state. */
export interface Expected {
  readonly questions: readonly Question[]
  readonly answers: readonly AnswerBytes[]
  /** Names of the refs, as Latin-1. */
  readonly refs: readonly string[]
}

/** A difference between the sidecar and Git. */
export class Difference extends Error {}

const flag = (random: Random): boolean => random.below(2) === 0

/** Returns questions about the whole list and about random prefixes, in all protocols. */
export function someQuestions(random: Random, names: readonly string[]): Question[] {
  const prefix = (): string => {
    const name = random.pick(names)
    return random.below(3) === 0 ? name : name.slice(0, random.below(name.length + 1))
  }
  const flags = () => ({ peel: flag(random), symrefs: flag(random), unborn: flag(random) })
  const prefixes = (count: number): string[] => Array.from({ length: count }, prefix)
  return [
    'v0',
    'v1',
    { peel: true, symrefs: true, unborn: true, prefixes: [] },
    { ...flags(), prefixes: [] },
    { ...flags(), prefixes: prefixes(1) },
    { ...flags(), prefixes: prefixes(1 + random.below(4)) },
    { ...flags(), prefixes: ['HEAD', ...prefixes(1)] },
  ]
}

/** The question whose answer shows all refs with their attributes. */
const wholeAt = 2

/** Compares the sidecar's answers with Git's, byte for byte, and returns Git's. @throws Difference */
export async function compare(
  root: string,
  repository: ModelRepository,
  client: SidecarClient,
  random: Random,
  names: readonly string[],
): Promise<Expected> {
  const questions = someQuestions(random, names)
  const asked = askAll(repository, client, questions, random)
  const [answers, served] = await Promise.all([answersOfGit(root, repository, questions), asked])
  const lines = packetsOf(answers[wholeAt] ?? '').flatMap((line) => /^.{4}\S+ (\S+)/.exec(line)?.[1] ?? [])
  const expected = { questions, answers, refs: lines.filter((name) => name !== 'HEAD') }
  check(expected, served)
  return expected
}

/** Asks the same again: the state has not changed. @throws Difference */
export async function compareAgain(
  repository: ModelRepository,
  client: SidecarClient,
  random: Random,
  expected: Expected,
): Promise<void> {
  check(expected, await askAll(repository, client, expected.questions, random))
}

function askAll(
  repository: ModelRepository,
  client: SidecarClient,
  questions: readonly Question[],
  random: Random,
): Promise<AnswerBytes[]> {
  return Promise.all(questions.map((question) => client.answer(repository, question, random.pick(codings))))
}

function check({ questions, answers }: Expected, served: readonly AnswerBytes[]): void {
  for (const [index, question] of questions.entries()) {
    if (served[index] === answers[index]) continue
    // Git may still list a part of what it cannot read as a whole; the sidecar lists all or nothing.
    if (answers[wholeAt] === undefined && served[index] === undefined) continue
    throw new Difference(`${JSON.stringify(question)}:\n${differenceOf(served[index], answers[index])}`)
  }
}

/** Describes the first packets that differ. */
function differenceOf(served: AnswerBytes, ofGit: AnswerBytes): string {
  if (served === undefined || ofGit === undefined) {
    return served === undefined ? 'the sidecar sent an error, Git did not' : 'Git failed, the sidecar did not'
  }
  const [ours, theirs] = [packetsOf(served), packetsOf(ofGit)]
  const only = (some: string[], others: string[]): string[] => {
    const known = new Set(others)
    const found = some.filter((line) => !known.has(line)).map((line) => JSON.stringify(line))
    return found.length > 6 ? [...found.slice(0, 6), `and ${found.length - 6} more`] : found
  }
  const lines = [
    ...only(ours, theirs).map((line) => `  only from the sidecar: ${line}`),
    ...only(theirs, ours).map((line) => `  only from Git:         ${line}`),
  ]
  return lines.length > 0 ? lines.join('\n') : '  the same packets in another order, or not as often'
}
