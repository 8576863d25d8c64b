import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HistoryRepository } from '../history-repository.js'
import { ask } from '../http-client.js'
import { completeQuery } from '../ref-answers.js'
import { gitEnvironment } from '../repositories.js'
import type { SpawnedSidecar } from '../sidecar.js'

/** How many splices of each kind there must have been, at least. */
export interface LeastSplices {
  readonly listing: number
  readonly advertisement: number
}

/** Checks that there were so many splices. */
export async function checkSplices(t: Test, sidecar: SpawnedSidecar, least: LeastSplices): Promise<void> {
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const series = [...text.matchAll(/^refstream_splices_total\{([^}]*)\} (\d+)$/gm)]
  t.comment(series.map(([, labels, count]) => `${labels}: ${count}`).join(', '))
  for (const kind of ['listing', 'advertisement'] as const) {
    const count = await sidecar.metric('refstream_splices_total', { kind, result: 'spliced' })
    t.ok(count >= least[kind], `${count} splices of kind ${kind}, at least ${least[kind]}`)
  }
  t.equal(
    await sidecar.metric('refstream_splice_audits_total', { verdict: 'different' }),
    0,
    'no audit found a difference',
  )
}

/** Timestamps are trusted after this many milliseconds. */
const settledMs = 50

/**
 * Checks that after all that was written, each push means exactly one fill, which is a splice. Of reftables, Git may merge the first
 * one with others at any push: that fill lists all refs, and says so.
 */
export async function checkEachIsSpliced(
  t: Test,
  { url, metric }: SpawnedSidecar,
  { git, repository, path, commits }: HistoryRepository,
): Promise<void> {
  const list = async (): Promise<string> => {
    await sleep(settledMs)
    const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
    const asked = { method: 'POST', headers, body: completeQuery({}) }
    return (await ask(`${url}/${path}/git-upload-pack`, asked)).body.toString('latin1')
  }
  const fills = (result?: string): Promise<number> =>
    metric('refstream_splices_total', { kind: 'listing', ...(result !== undefined && { result }) })
  const counts = async (): Promise<readonly [all: number, explained: number]> => {
    const merged = repository.endsWith('reftable.git') ? await fills('reftable') : 0
    return [await fills(), (await fills('spliced')) + merged]
  }
  const run = (...args: string[]): unknown =>
    execFileSync(git, args, { cwd: repository, env: gitEnvironment, stdio: 'pipe' })
  run('pack-refs', '--all')
  await list()
  // The state of before is settled by now.
  await list()
  const before = await counts()
  const pushes = commits.slice(0, 5)
  for (const commit of pushes) {
    run('update-ref', 'refs/heads/at-the-end', commit)
    t.match(await list(), `${commit} refs/heads/at-the-end\n`)
  }
  const after = await counts()
  const each = [pushes.length, pushes.length]
  t.same([after[0] - before[0], after[1] - before[1]], each, 'each push at the end is one splice')
}
