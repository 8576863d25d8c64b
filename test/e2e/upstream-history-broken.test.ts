import t from 'tap'
import type { Test } from 'tap'
import { join } from 'node:path'
import { startServer } from '../../src/index.js'
import { Upstreams } from '../../src/origin/upstream/upstreams.js'
import { staleAnswer } from '../support/history.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { runHistory, type History, type RunOptions } from '../support/history-run.js'
import { startPlainServer } from '../support/plain-server.js'
import { tempDir } from '../support/temp-dir.js'

/** A history under a refstream in this process. */
async function history(
  t: Test,
  upstreamFreshness: string,
  run: Pick<RunOptions, 'seed' | 'bound'>,
): Promise<History> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const upstream = await startPlainServer(t, root)
  const sidecar = await startServer({
    ...{ upstream, upstreamFreshness, cacheDir: join(tempDir(t), 'cache') },
    ...{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' },
  })
  const { url, adminUrl } = sidecar
  try {
    return await runHistory({
      ...{ repository, url, adminUrl, mode: 'observe', length: { rounds: 5 }, onlyAtServer: true },
      ...run,
    })
  } finally {
    await sidecar.close()
  }
}

/** Breaks the rule: what is kept answers for so long, whatever the settings say. */
function answerFor(t: Test, maxAgeMs: number): void {
  type Find = Upstreams['find']
  const find = Reflect.get<Upstreams, 'find'>(Upstreams.prototype, 'find')
  t.intercept(Upstreams.prototype, 'find', {
    value(this: Upstreams, ...target: Parameters<Find>) {
      return { ...find.apply(this, target), maxAgeMs }
    },
  })
}

/** Many processes run at once; a busy machine takes long. */
t.setTimeout(600_000)
const rules = [
  { setting: '**=exact', bound: undefined, brokenMs: 60_000 },
  { setting: '**=bounded:0.2', bound: { maxAgeMs: 200 }, brokenMs: 60_000 },
]

for (const { setting, bound, brokenMs } of rules) {
  t.test(
    `the check can fail: it finds answers that are older than ${setting} allows`,
    { timeout: 0 },
    async (t) => {
      answerFor(t, brokenMs)
      // The timing is random: several histories may pass.
      let violations: readonly string[] = []
      for (let seed = 1; violations.length === 0 && seed <= 20; seed++) {
        ;({ violations } = await history(t, setting, { seed, ...(bound && { bound }) }))
        t.comment(`seed ${seed}: ${violations.slice(0, 2).join('; ')}`)
      }
      t.match(violations.join('\n'), staleAnswer)
    },
  )
}
