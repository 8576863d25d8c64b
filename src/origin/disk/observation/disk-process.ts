/**
 * The program of a helper process: answers queries about repositories on mounts that may hang. If a mount does, only this
 * process hangs, and its parent kills it.
 */
import { MountTable } from '../../../git/filesystem/mount-table.js'
import { RemotePath } from '../../../git/filesystem/path-guard.js'
import { RepositoriesRoot } from '../../../git/state/repositories-root.js'
import { Disk, type DiskObservation, type GitFacts } from './disk.js'
import {
  machineMs,
  diskQueries,
  type DiskResponse,
  type DiskRequest,
  type HelperStart,
} from './disk-messages.js'
import { Modes } from './modes.js'

// Signals are for the parent, which ends this process.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
process.on('disconnect', () => process.exit())

process.once('message', ({ config, allowed }: HelperStart) => {
  const mounts = new MountTable()
  const guard = () => mounts.guard(allowed)
  const modes = new Modes({ rules: config.rules, mounts })
  const disk = new Disk({ ...config, root: new RepositoriesRoot(config.root, guard), guard })
  const ask = (query: DiskRequest['query'], args: readonly unknown[]): unknown => {
    if (!diskQueries.includes(query)) throw new Error(`unknown query: ${query}`)
    if (query === 'observe')
      return disk.observe(args[0] as string, args[1] as GitFacts, modes).then(withoutDetails)
    return (disk[query] as (...args: readonly unknown[]) => unknown)(...args)
  }
  process.on('message', ({ id, query, args, untilMs }: DiskRequest) => {
    const answered = machineMs() < untilMs ? answer(id, () => ask(query, args)) : { id, late: true }
    // Sending fails if the parent has ended; then this process is about to end too.
    void Promise.resolve(answered).then((message) => process.send!(message, undefined, undefined, () => {}))
  })
})

/** Details are as long as the repository has refs and directories: they are left out of messages. */
function withoutDetails(observation: DiskObservation): DiskObservation {
  const { observed } = observation
  if (typeof observed?.refs !== 'object') return observation
  const { token, unsettledMs, allLoose } = observed.refs
  return { ...observation, observed: { ...observed, refs: { token, unsettledMs, allLoose } } }
}

async function answer(id: number, ask: () => unknown): Promise<DiskResponse> {
  try {
    return { id, answer: await ask() }
  } catch (error) {
    return error instanceof RemotePath ? { id, remote: error.mount } : { id, error }
  }
}
