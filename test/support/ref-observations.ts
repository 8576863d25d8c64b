import type { Test } from 'tap'
import { realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { StatSnapshot } from '../../src/git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../src/git/state/snapshot-memory.js'
import { observeRefs, type ObservedRefs } from '../../src/git/state/ref-state.js'
import {
  observeRepository,
  type ObservationSettings,
  type RepositoryState,
} from '../../src/git/state/repository-state.js'
import type { RefLimits } from '../../src/git/state/refs-walk.js'
import { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import { openRepository } from '../../src/git/state/open-repository.js'
import { tempDir } from './temp-dir.js'

/** A repository's whole state, as it is observed in observe mode. */
export interface RefState extends RepositoryState {
  readonly refs: ObservedRefs
}

export async function observeRefState(
  settings: ObservationSettings,
  memory: SnapshotMemory,
  path: string,
  limits: RefLimits = {
    directories: Infinity,
    looseRefs: Infinity,
    linksBelow: () => settings.root.real(),
  },
): Promise<RefState | undefined> {
  const snapshot = new StatSnapshot(memory)
  const opened = openRepository(snapshot, settings.root, path)
  if (!opened) return undefined
  try {
    const state = observeRepository(snapshot, settings, opened)
    const refs = await observeRefs(snapshot, opened, state, limits)
    return typeof refs === 'string' ? undefined : { ...state, refs }
  } finally {
    opened.close()
  }
}

/** A root, and functions that observe repositories in it. */
export interface RefObserver {
  readonly root: string
  /** Observes once. */
  readonly now: (path: string) => Promise<RefState | undefined>
  /** Observes until the state is settled, as repeated requests would; coarse timestamps need two seconds. */
  readonly settled: (path: string) => Promise<RefState>
}

export function makeRefObserver(
  t: Test,
  {
    root = realpathSync(tempDir(t)),
    ...settings
  }: Partial<Omit<ObservationSettings, 'root'>> & { root?: string } = {},
): RefObserver {
  const all: ObservationSettings = {
    root: new RepositoriesRoot(root),
    scopes: { files: [], home: undefined, variables: [] },
    programs: [],
    environmentDigest: '',
    ...settings,
  }
  const memory = new SnapshotMemory()
  const now = (path: string): Promise<RefState | undefined> => observeRefState(all, memory, path)
  const settled = async (path: string): Promise<RefState> => {
    for (;;) {
      const state = await now(path)
      if (!state) throw new Error(`there is no repository ${path}`)
      const { unsettledMs } = state.refs
      if (unsettledMs === 0) return state
      if (unsettledMs > 3000) throw new Error(`will not settle: ${unsettledMs} ms`)
      await sleep(unsettledMs)
    }
  }
  return { root, now, settled }
}
