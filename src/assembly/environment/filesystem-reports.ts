import type { EventEmitter } from 'node:events'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'

/** Events of filesystems that may hang, with the points where they are mounted. */
export interface FilesystemEventMap {
  readonly stopped: [mounts: readonly string[]]
  readonly resumed: [mounts: readonly string[]]
  readonly unanswered: []
}

/** Logs and counts what happens to filesystems. */
export function reportFilesystems(
  filesystems: EventEmitter<FilesystemEventMap>,
  metrics: Metrics,
  log: Log,
): void {
  filesystems.on('unanswered', () => metrics.observations.inc({ result: 'timeout' }))
  filesystems.on('stopped', (mounts) =>
    log.error(
      { mounts },
      'a filesystem does not answer; requests for repositories on it get 503 until it does',
    ),
  )
  filesystems.on('resumed', (mounts) => log.info({ mounts }, 'the filesystem answers again'))
}
