import cluster from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { socketPathMax } from '../../config/values/addresses.js'
import type { Settings } from '../../config/options/options.js'
import { EngineServer } from '../../fleet/engines/workers/engine-server.js'
import { TableEngine } from '../../fleet/engines/table/table-engine.js'
import { takePassedSockets } from '../../server/passed-sockets.js'
import type { Log } from '../../telemetry/log.js'
import { cacheDirectoryOf } from '../cache/cache-directory.js'
import type { Sidecar } from '../sidecar.js'
import { Crew } from './crew.js'
import { openLeaseJournal } from './lease-journal.js'
import { GatheredAnswers } from './gathered-answers.js'
import { SummedMetrics } from './summed-metrics.js'

const program = fileURLToPath(new URL('worker.js', import.meta.url))

/**
 * Has libuv pause for a moment after each connection that a worker accepts. Otherwise the first worker that wakes accepts all
 * connections that are waiting, such as the kept ones of a proxy, and the others stay idle.
 */
const shareConnections = { UV_TCP_SINGLE_ACCEPT: '1' }

/**
 * Starts `settings.workers` processes that serve on the same addresses. This process has no servers of its own: it holds
 * what the workers share, and starts those again that end.
 * @throws ConfigError as startSidecar() does, from the first worker that cannot start
 */
export async function startWorkers(
  settings: Settings,
  log: Log,
  environment = process.env,
): Promise<Sidecar> {
  const { workers: count } = settings
  const passed = takePassedSockets(environment)
  // All workers accept from the same sockets: one that is busy, or hangs, keeps no connection from the others. Handing
  // each connection out from here (SCHED_RR) nearly doubles the processor time of a request on a connection of its own.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ exec: program, args: [], execArgv: process.execArgv })
  const directory = makeDirectory()
  const journal = await openLeaseJournal(await cacheDirectory(settings, environment), log)
  const engine = new TableEngine(journal)
  const server = new EngineServer(engine)
  const metrics = new SummedMetrics({ count, leasesOpen: () => engine.leasesOpen })
  const answers = new GatheredAnswers()
  const crew = new Crew({
    settings,
    directory,
    secret: randomBytes(32).toString('base64'),
    passed,
    log,
    fork: () => cluster.fork(shareConnections),
    joined: (index, node, { control, fleet }) => {
      metrics.add(index, control)
      answers.add(index, control)
      server.serve(node, fleet)
    },
    restarted: () => metrics.restarted(),
    lost: () => {
      log.fatal(
        'no worker is left, nor a socket that systemd had passed: refstream ends, to be started again',
      )
      process.exit(1)
    },
  })
  const end = async (): Promise<void> => {
    server.close()
    void engine.close()
    rmSync(directory, { recursive: true, force: true })
    await journal.release()
  }
  try {
    const at = await crew.start()
    return {
      ...at,
      grpcTarget: at.grpcTarget,
      reload: () => crew.tell({ kind: 'reload' }),
      // Workers end, with their processes, when this one does.
      killProcesses: () => void end(),
      close: async () => {
        await crew.stop()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

/** Returns the cache directory that workers use, as far as the root can be found in time; a worker reports the rest. */
async function cacheDirectory(settings: Settings, environment: NodeJS.ProcessEnv): Promise<string> {
  const { cacheDir, root, observeTimeoutSeconds } = settings
  if (cacheDir !== undefined || root === undefined) return cacheDirectoryOf(settings, undefined, environment)
  const path = resolve(root)
  const real = await Promise.race([
    realpath(path).catch(() => path),
    sleep(observeTimeoutSeconds * 1000, path, { ref: false }),
  ])
  return cacheDirectoryOf(settings, real, environment)
}

/** Makes a directory that only this user may enter, with a path that leaves room for the name of a socket. */
function makeDirectory(): string {
  const name = 'refstream-'
  const isShort = Buffer.byteLength(join(tmpdir(), `${name}XXXXXX`, 'w64.sock')) <= socketPathMax
  return mkdtempSync(join(isShort ? tmpdir() : '/tmp', name))
}
