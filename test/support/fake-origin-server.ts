import type { Test } from 'tap'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { Access } from '../../src/access/access.js'
import { createHttpServer, type HttpServerOptions } from '../../src/http/server.js'
import { AdmissionGate } from '../../src/limits/admission/admission-gate.js'
import { RecentAdmissions } from '../../src/limits/admission/recent-admissions.js'
import { FairShares } from '../../src/limits/admission/shares.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import type { OriginResponse } from '../../src/origin/pass-through.js'
import { AnswerDigests } from '../../src/service/answer-digests.js'
import { AnswerVersions } from '../../src/service/answer-versions.js'
import { CompressedForms } from '../../src/service/compressed-forms.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'

/** Returns a whole answer, except for what is given. */
export const originResponse = (given: Partial<OriginResponse> = {}): OriginResponse => ({
  ...{ status: 200, statusText: undefined, headers: [], body: Readable.from([]) },
  whole: async () => true,
  end: () => {},
  ...given,
})

/** Returns options of a server that lets all pass, to an origin of the test's own. */
export function serverOptions(options: Partial<HttpServerOptions>): HttpServerOptions {
  const stalls = new StallDetector({ idleMs: 0, minRate: 0, windowMs: 1000 })
  return {
    metrics: new Metrics(),
    ...{ log: createLog('silent'), shed: () => {}, responseStalls: stalls, requestStalls: stalls },
    writeBudget: new WriteBudget(1 << 30),
    gate: new AdmissionGate({ max: 100, saturatedAfterMs: Infinity, queueMax: 0, waitMs: 0 }),
    admissions: new RecentAdmissions({ forMs: 1000, max: 10 }),
    bodies: new FairShares(1 << 24, 1),
    pipelined: new FairShares(100, 1),
    access: new Access({ locate: () => undefined }),
    ...{ clientName: () => undefined, remoteUserHeader: undefined, etag: false, shedStatus: 429 },
    forwardsCredentials: false,
    digests: new AnswerDigests(),
    versions: new AnswerVersions(1 << 24),
    compressed: new CompressedForms({ minBytes: 100, maxBytes: 1 << 24 }),
    ...{ requestIdleMs: 60_000, maxHeaderBytes: 16_384, anyTarget: true },
    ...options,
  } as HttpServerOptions
}

/** Opens such a server. @returns its URL and its metrics */
export async function openServer(
  t: Test,
  options: Partial<HttpServerOptions>,
): Promise<{ url: string; metrics: Metrics }> {
  const all = serverOptions(options)
  const server = createHttpServer(all)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, metrics: all.metrics }
}
