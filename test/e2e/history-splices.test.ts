// The history of a repository with some thousand refs, so that most fills can be splices: see history.test.ts.
import t from 'tap'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createHistoryRepository, type RefFormat } from '../support/history-repository.js'
import { runHistory } from '../support/history-run.js'
import { startSidecar } from '../support/sidecar.js'
import { constantNames, splicedWriters } from '../support/splices/history-writers.js'
import { checkEachIsSpliced, checkSplices } from '../support/splices/splice-counts.js'
import { tempDir } from '../support/temp-dir.js'

/** The server's Git; may be set to one with reftable (2.45 and later). */
const program = process.env['REFSTREAM_TEST_GIT'] ?? 'git'
const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)
const seconds = Number(process.env['REFSTREAM_SOAK_MINUTES'] ?? 0) * 60
if (seconds > 0) t.setTimeout(0)
const length = seconds > 0 ? { seconds } : { rounds: 4 }

const probe = ['init', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')]
const hasReftable = spawnSync(program, probe).status === 0
if (!hasReftable) t.pass('reftable needs Git 2.45, here or in REFSTREAM_TEST_GIT', { skip: true })

const formats: RefFormat[] = hasReftable ? ['files', 'reftable'] : ['files']
for (const format of formats) {
  t.test(`writers and readers of some thousand refs: ${format}`, { timeout: 0 }, async (t) => {
    const root = tempDir(t)
    const repository = createHistoryRepository(t, root, format, program, constantNames)
    const sidecar = await startSidecar(t, root, { args: ['--git', program, '--freshness', 'observe'] })
    const { url, adminUrl } = sidecar
    const options = { repository, url, adminUrl, mode: 'observe', seed, length } as const
    const { writes, reads, violations } = await runHistory({ ...options, moreWriters: splicedWriters })
    t.comment(`seed ${seed}: ${writes.length} writes, ${reads.length} reads`)
    t.same(violations, [], `no answer is older than its request, or than another before it (seed ${seed})`)
    t.ok(reads.length > 50, 'readers read often')
    await checkSplices(t, sidecar, { listing: 1, advertisement: 0 })
    await checkEachIsSpliced(t, sidecar, repository)
    await sidecar.stop()
  })
}
