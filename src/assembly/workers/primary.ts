import cluster from 'node:cluster'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { socketPathMax } from '../../config/addresses.js'
import type { Settings } from '../../config/options.js'
import { EngineServer } from '../../fleet/engines/workers/engine-server.js'
import { TableEngine } from '../../fleet/engines/table/table-engine.js'
import type { Log } from '../../telemetry/log.js'
import type { Sidecar } from '../sidecar.js'
import { Crew } from './crew.js'
import { SummedMetrics } from './summed-metrics.js'

const program = fileURLToPath(new URL('worker.js', import.meta.url))

/**
 * Starts `settings.workers` processes that serve on the same addresses. This process has no servers of its own: it holds
 * what the workers share, and starts those again that end.
 * @throws ConfigError as startSidecar() does, from the first worker that cannot start
 */
export async function startWorkers(settings: Settings, log: Log): Promise<Sidecar> {
  const { workers: count } = settings
  // A worker that is idle accepts at once, and this process handles no connection; see docs/architecture.md.
  cluster.schedulingPolicy = process.env['REFSTREAM_TEST_RR'] ? cluster.SCHED_RR : cluster.SCHED_NONE
  cluster.setupPrimary({ exec: program, args: [], execArgv: process.execArgv })
  const directory = makeDirectory()
  const engine = new TableEngine()
  const server = new EngineServer(engine)
  const metrics = new SummedMetrics({ count })
  const crew = new Crew({
    settings,
    directory,
    log,
    fork: () => cluster.fork(),
    joined: (index, node, { control, fleet }) => {
      metrics.add(index, control)
      server.serve(node, fleet)
    },
    restarted: () => metrics.restarted(),
  })
  const end = (): void => {
    server.close()
    void engine.close()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const at = await crew.start()
    return {
      ...at,
      grpcTarget: at.grpcTarget,
      reload: () => crew.tell({ kind: 'reload' }),
      // Workers end, with their processes, when this one does.
      killProcesses: end,
      close: async () => {
        await crew.stop()
        end()
      },
    }
  } catch (error) {
    end()
    throw error
  }
}

/** Makes a directory that only this user may enter, with a path that leaves room for the name of a socket. */
function makeDirectory(): string {
  const name = 'refstream-'
  const isShort = Buffer.byteLength(join(tmpdir(), `${name}XXXXXX`, 'w64.sock')) <= socketPathMax
  return mkdtempSync(join(isShort ? tmpdir() : '/tmp', name))
}
