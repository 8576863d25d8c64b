import type { Test } from 'tap'
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
