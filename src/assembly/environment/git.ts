import { Git } from '../../git/process/git.js'
import { inspectInstallation, oldestGit, type Installation } from '../../git/process/installation.js'
import type { Activity } from '../../status/activity.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { HostEnvironment } from './environment.js'
import type { Limits } from '../limits/limits.js'

/** Creates the starter of Git processes, which applies the limits. */
export function openGit(
  { program, mounts }: Pick<HostEnvironment, 'program' | 'mounts'>,
  environment: NodeJS.ProcessEnv,
  { limiter, adaptive }: Pick<Limits, 'limiter' | 'adaptive'>,
  activity: Pick<Activity, 'failures'>,
  metrics: Metrics,
  log: Log,
  tracing?: Tracing,
): Git {
  return new Git({
    path: program,
    environment,
    mounts,
    limiter,
    tracing,
    started: (command) => metrics.processesStarted.inc({ command }),
    filled: (kind, ms) => adaptive?.recordFill(kind, ms),
    complained: (complaint) => {
      log.warn({ ...complaint, ...tracing?.ids }, 'a Git process failed or reported an error')
      const { command, where, stderr, ending } = complaint
      activity.failures.add('git', `${command} ${where ?? ''}`.trim(), stderr.trim() || ending)
    },
  })
}

/** Asks Git about itself; logs if it is too old. */
export async function inspectGit(git: Git, log: Log): Promise<Installation> {
  const installation = await inspectInstallation(git)
  const { version, supported } = installation
  if (!supported) {
    log.warn({ version }, `this version of Git is not supported; install ${oldestGit} or newer`)
  }
  return installation
}
