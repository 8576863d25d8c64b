import type { Test } from 'tap'
import type { SpawnedSidecar } from '../sidecar.js'

const metric = 'refstream_splices_total'

/** Checks that there were so many splices. @param result the label's value of a fill that was a splice */
export async function checkSplices(t: Test, sidecar: SpawnedSidecar, least: number): Promise<void> {
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const series = [...text.matchAll(/^refstream_splices_total\{([^}]*)\} (\d+)$/gm)]
  if (!text.includes(`# TYPE ${metric} `)) return void t.pass(`there is no ${metric}`, { skip: true })
  t.comment(series.map(([, labels, count]) => `${labels}: ${count}`).join(', '))
  const count = await sidecar.metric(metric, { result: 'spliced' })
  t.ok(count >= least, `${count} splices, at least ${least}`)
}
