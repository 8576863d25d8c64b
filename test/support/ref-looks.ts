import type { Test } from 'tap'
import { realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLookMemory, Look, type LookMemory } from '../../src/git/look.js'
import {
  lookAtRefs,
  lookAtRepository,
  type LookSettings,
  type RepositoryState,
  type SeenRefs,
  type RefLimits,
} from '../../src/git/ref-state.js'
import { RepositoriesRoot } from '../../src/git/repositories-root.js'
import { enterRepo } from '../../src/git/repository.js'
import { tempDir } from './temp-dir.js'

/** A repository's whole state, as observe mode sees it. */
export interface RefState extends RepositoryState {
  readonly refs: SeenRefs
}

export async function lookAtRefState(
  settings: LookSettings,
  memory: LookMemory,
  path: string,
  limits: RefLimits = {
    directories: Infinity,
    looseRefs: Infinity,
    linksBelow: () => settings.root.real(),
  },
): Promise<RefState | undefined> {
  const look = new Look(memory)
  const opened = enterRepo(look, settings.root, path)
  if (!opened) return undefined
  try {
    const state = lookAtRepository(look, settings, opened)
    const refs = await lookAtRefs(look, opened, state, limits)
    return typeof refs === 'string' ? undefined : { ...state, refs }
  } finally {
    opened.close()
  }
}

/** A root and a way to look at what is in it. */
export interface Looker {
  readonly root: string
  /** A look at once. */
  readonly now: (path: string) => Promise<RefState | undefined>
  /** Looks until the state is settled, as somebody would who asks again; what is coarse needs two seconds. */
  readonly settled: (path: string) => Promise<RefState>
}

export function makeLooker(
  t: Test,
  {
    root = realpathSync(tempDir(t)),
    ...settings
  }: Partial<Omit<LookSettings, 'root'>> & { root?: string } = {},
): Looker {
  const all: LookSettings = {
    root: new RepositoriesRoot(root),
    scopes: { files: [], home: undefined, variables: [] },
    programs: [],
    environmentDigest: '',
    ...settings,
  }
  const memory = createLookMemory()
  const now = (path: string): Promise<RefState | undefined> => lookAtRefState(all, memory, path)
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
