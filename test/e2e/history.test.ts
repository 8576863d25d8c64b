import t from 'tap'
import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { runHistory, type RunOptions } from '../support/history-run.js'
import { startSidecar } from '../support/sidecar.js'
import { createHistoryRepository, type RefFormat } from '../support/history-repository.js'
import { tempDir } from '../support/temp-dir.js'

/** The server's Git; may be set to one with reftable (2.45 and later). */
const program = process.env['REFSTREAM_TEST_GIT'] ?? 'git'
const soakMinutes = Number(process.env['REFSTREAM_SOAK_MINUTES'] ?? 0)
const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)

function hasReftable(): boolean {
  try {
    const probe = join(tempDir(t), 'probe.git')
    execFileSync(program, ['init', '--bare', '--ref-format=reftable', probe], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const totals = { reads: 0, writes: 0, fills: 0, stale: 0 }

async function bout(
  t: Test,
  format: RefFormat,
  { mode, ...run }: Pick<RunOptions, 'mode' | 'seed' | 'length'>,
): Promise<void> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, format, program)
  const wrapper = makeGitWrapper(t, program)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, '--freshness', mode] })
  const { url, adminUrl } = sidecar
  const { writes, reads, violations } = await runHistory({ repository, url, adminUrl, mode, ...run })

  const fills = wrapper.count('upload-pack')
  const hits = await sidecar.metric('refstream_requests_total', { outcome: 'hit' })
  t.comment(`seed ${run.seed}: ${writes.length} writes, ${reads.length} reads, ${fills} fills, ${hits} hits`)
  t.same(violations, [], `no answer is older than its request, or than another before it (seed ${run.seed})`)
  t.ok(reads.length > 50, 'readers read often')
  t.ok(fills < reads.length, 'readers share fills')
  t.ok(hits > 0, 'entries are reused')
  t.equal(wrapper.mostAtOnce(), 1, 'never two processes for one key')
  t.equal(await sidecar.metric('refstream_loser_writes_total'), 0, 'no fill was in vain')
  await sidecar.stop()
  totals.writes += writes.length
  totals.reads += reads.length
  totals.fills += fills
  totals.stale += violations.length
}

const formats: RefFormat[] = hasReftable() ? ['files', 'reftable'] : ['files']
const scenes = formats.flatMap((format) => (['observe', 'lease'] as const).map((mode) => ({ format, mode })))

if (soakMinutes > 0) {
  t.setTimeout(0)
  const until = Date.now() + soakMinutes * 60_000
  for (let count = 0; Date.now() < until; count++) {
    const { format, mode } = scenes[count % scenes.length]!
    const length = { seconds: Math.min(60, Math.max(1, (until - Date.now()) / 1000)) }
    await t.test(`${format}, ${mode}, seed ${seed + count}`, { timeout: 0 }, (t) =>
      bout(t, format, { mode, seed: seed + count, length }),
    )
  }
  const { reads, writes, fills, stale } = totals
  console.error(`seed ${seed}: ${reads} reads, ${writes} writes, ${fills} fills, stale = ${stale}`)
} else {
  for (const { format, mode } of scenes) {
    t.test(`real writers and readers: ${format}, ${mode}`, (t) =>
      bout(t, format, { mode, seed, length: { rounds: 10 } }),
    )
  }
  if (formats.length < 2) t.pass('reftable needs Git 2.45, here or in REFSTREAM_TEST_GIT', { skip: true })
}
