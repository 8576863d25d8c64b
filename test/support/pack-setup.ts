import type { Test } from 'tap'
import { eventually } from './eventually.js'
import { makePackRepository, type PackRepositoryOptions } from './pack-repository.js'
import { makePackWrapper, packPlans, type PackWrapper } from './pack-wrapper.js'
import { git } from './repositories.js'
import { startSidecar, type SpawnedSidecar } from './sidecar.js'
import { tempDir } from './temp-dir.js'

/** A sidecar whose Git is wrapped, with the repository `r.git`. */
export interface PackSetup {
  readonly root: string
  readonly repository: string
  readonly wrapper: PackWrapper
  readonly sidecar: SpawnedSidecar
  /** Starts another one on the same cache directory. */
  readonly restart: () => Promise<SpawnedSidecar>
  /** Resolves with how many packs had this result. */
  readonly packs: (result: 'hit' | 'coalesced' | 'filled' | 'passed') => Promise<number>
}

export interface PackSetupOptions extends PackRepositoryOptions {
  readonly args?: readonly string[]
  readonly cacheDir?: string
  /** Configuration of the repository. */
  readonly config?: Readonly<Record<string, string>>
}

export async function startPacks(
  t: Test,
  { args = [], ...options }: PackSetupOptions = {},
): Promise<PackSetup> {
  const root = tempDir(t)
  const repository = makePackRepository(root, 'r.git', options)
  for (const [name, value] of Object.entries(options.config ?? {})) git(repository, 'config', name, value)
  const wrapper = makePackWrapper(t)
  const start = (cacheDir = options.cacheDir): Promise<SpawnedSidecar> =>
    startSidecar(t, root, {
      args: ['--git', wrapper.path, ...args],
      ...(cacheDir === undefined ? {} : { cacheDir }),
    })
  const sidecar = await start()
  return {
    ...{ root, repository, wrapper, sidecar },
    restart: () => start(sidecar.cacheDir),
    packs: (result) => sidecar.metric('refstream_packs_total', { result }),
  }
}

/** Resolves when so many clients follow entries. */
export const eventuallyFollowed = (sidecar: SpawnedSidecar, count: number): Promise<void> =>
  eventually(`${count} clients follow`, async () => (await sidecar.metric('refstream_followers')) === count)

let storms = 0

/**
 * Runs clients that ask for one pack while Git waits until all of them follow.
 * @param between called when half of the clients follow; the other half starts after it
 */
export async function storm<T>(
  { wrapper, sidecar }: Pick<PackSetup, 'wrapper' | 'sidecar'>,
  count: number,
  client: (index: number) => Promise<T>,
  between?: () => unknown,
): Promise<T[]> {
  const gate = `storm-${storms++}`
  wrapper.planPacks(packPlans.waitFor(gate))
  const half = between ? count / 2 : count
  const clients = Array.from({ length: half }, (_, index) => client(index))
  // A client that fails ends the wait.
  const all = Promise.all(clients)
  await Promise.race([eventuallyFollowed(sidecar, half), all])
  if (between) {
    await between()
    clients.push(...Array.from({ length: count - half }, (_, index) => client(half + index)))
    await Promise.race([eventuallyFollowed(sidecar, count), Promise.all(clients)])
  }
  wrapper.signal(gate)
  const results = await Promise.all(clients)
  wrapper.planPacks(undefined)
  return results
}
