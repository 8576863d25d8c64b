import t from 'tap'
import type { Test } from 'tap'
import { join } from 'node:path'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import { startServer } from '../../src/index.js'
import { staleAnswer } from '../support/history.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { runHistory, type History } from '../support/history-run.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { tempDir } from '../support/temp-dir.js'

/** Reads the refs and then delays its output, so that a request that joins late gets old bytes. */
const dawdle = 'git "$@" > "$dir/out.$$"; sleep 0.2; cat "$dir/out.$$"; rm "$dir/out.$$"; exit\n'

/** A history under a sidecar in this process, whose Git is slow. */
async function history(t: Test, seed: number): Promise<History> {
  const root = tempDir(t)
  const stage = createHistoryRepository(t, root, 'files')
  const wrapper = makeGitWrapper(t)
  wrapper.plan(dawdle)
  const sidecar = await startServer({
    root,
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    cacheDir: join(tempDir(t), 'cache'),
    git: wrapper.path,
    freshness: 'observe',
  })
  const { url, adminUrl } = sidecar
  try {
    return await runHistory({
      repository: stage,
      url,
      adminUrl,
      mode: 'observe',
      seed,
      length: { rounds: 8 },
    })
  } finally {
    await sidecar.close()
  }
}

t.test('the check can fail: it finds stale answers if any running fill is joined', async (t) => {
  const { violations: sound } = await history(t, 1)
  t.same(sound, [], 'with a slow Git and the right rules there are none')

  const rules = FreshCache.prototype as unknown as { mayJoin: () => boolean }
  t.intercept(rules, 'mayJoin', { value: () => true })
  // The timing is random: several histories may pass.
  let violations: readonly string[] = []
  for (let seed = 1; violations.length === 0 && seed <= 20; seed++) {
    ;({ violations } = await history(t, seed))
    t.comment(`seed ${seed}: ${violations.slice(0, 2).join('; ')}`)
  }
  t.match(violations.join('\n'), staleAnswer)
})
