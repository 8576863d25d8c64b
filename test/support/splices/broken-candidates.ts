import type { Test } from 'tap'

/** The part of KnownRefs that says which names may have changed. */
interface Candidates {
  candidates(...args: never[]): Promise<unknown>
}

/**
 * Breaks the rule that finds candidates, for the rest of a test: names for which `isLost` holds are left out.
 * @param rules KnownRefs.prototype
 * @returns how many names were left out so far
 */
export function loseCandidates(t: Test, rules: Candidates, isLost: (name: string) => boolean): () => number {
  let lost = 0
  const candidates = Reflect.get<Candidates, 'candidates'>(rules, 'candidates')
  t.intercept(rules, 'candidates', {
    async value(this: Candidates, ...args: never[]) {
      const found = await candidates.apply(this, args)
      // Otherwise it is why all refs must be listed.
      if (!Array.isArray(found)) return found
      const names = found as string[]
      const kept = names.filter((name) => !isLost(name))
      lost += names.length - kept.length
      return kept
    },
  })
  return () => lost
}
