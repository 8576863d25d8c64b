// The check of histories finds the stale answers of a rule that loses candidates: see history-splices.test.ts.
import t from 'tap'
import type { Test } from 'tap'
import { join } from 'node:path'
import { KnownRefs } from '../../src/git/state/ref-changes/known-refs.js'
import { startServer } from '../../src/index.js'
import { SpliceAudits } from '../../src/origin/disk/splices/splice-audits.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { runHistory } from '../support/history-run.js'
import { staleAnswer, violations } from '../support/history.js'
import { ask } from '../support/http-client.js'
import { loseCandidates } from '../support/splices/broken-candidates.js'
import { families, splicedWriters } from '../support/splices/history-writers.js'
import { tempDir } from '../support/temp-dir.js'
import type { Workplace, Writer } from '../support/writers.js'

type Family = keyof typeof families
const all = Object.keys(families) as Family[]

/** Writes a history of some families, and returns the violations in the registers of each. */
async function history(
  t: Test,
  seed: number,
  written: readonly Family[],
): Promise<Map<Family, readonly string[]>> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const sidecar = await startServer({
    ...{ root, listen: '127.0.0.1:0', admin: '127.0.0.1:0', freshness: 'observe' },
    cacheDir: join(tempDir(t), 'cache'),
  })
  try {
    const { url, adminUrl } = sidecar
    const options = { repository, url, adminUrl, mode: 'observe', seed, length: { rounds: 10 } } as const
    // Others change HEAD and the configuration, after which all refs are listed. Each of these has registers of its own, so that
    // one history tries all rules.
    const isWritten = ({ name }: Writer): boolean => written.some((family) => family === name)
    const moreWriters = (place: Workplace): Writer[] => splicedWriters(place).filter(isWritten)
    const writers = { moreWriters, onlyMoreWriters: true }
    const { writes, reads } = await runHistory({ ...options, ...writers })
    const { body } = await ask(`${adminUrl}/metrics`)
    t.comment([...body.toString().matchAll(/^refstream_splices_total.*$/gm)].join('; '))
    return new Map(
      written.map((family) => {
        const ofFamily = writes.filter(({ register }) => register.startsWith(families[family]))
        return [family, violations(ofFamily, reads)]
      }),
    )
  } finally {
    await sidecar.close()
  }
}

t.test('stale answers are found if a rule loses candidates', { timeout: 0 }, async (t) => {
  const sound = await history(t, 1, all)
  t.same([...sound.values()].flat(), [], 'with the right rules there are none')

  // It would find and repair them: see splice-audits.test.ts.
  t.intercept(SpliceAudits.prototype, 'made', { value: () => {} })
  const lost = loseCandidates(t, KnownRefs.prototype, (name) =>
    Object.values(families).some((beginning) => name.startsWith(beginning)),
  )
  // The timing is random, and a change of another family may have all refs listed: those that were not found try alone.
  const found = new Map<Family, string>()
  const missing = (): Family[] => all.filter((family) => !found.has(family))
  for (let seed = 1; missing().length > 0 && seed <= 20; seed++) {
    for (const [family, stale] of await history(t, seed, missing()))
      if (stale.length > 0) found.set(family, stale.join('\n'))
  }
  t.ok(lost() > 0)
  for (const family of all) t.match(found.get(family), staleAnswer, family)
})
