import type { Test } from 'tap'
import { realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLookMemory, Look, type LookMemory } from '../../src/git/look.js'
import {
  lookAtRefs,
  lookAtRepository,
  type LookSettings,
  type RepositoryState,
  type Seen,
} from '../../src/git/ref-state.js'
import { tempDir } from './temp-dir.js'

/** A repository's whole state, as observe mode sees it. */
export interface RefState extends RepositoryState {
  readonly refs: Seen
}

export async function lookAtRefState(
  settings: LookSettings,
  memory: LookMemory,
  path: string,
): Promise<RefState | undefined> {
  const look = new Look(memory)
  const state = lookAtRepository(look, settings, path)
  return state && { ...state, refs: (await lookAtRefs(look, state, Infinity))! }
}

/** A root and a way to look at what is in it. */
export interface Looker {
  readonly root: string
  /** A look at once. */
  readonly now: (path: string) => Promise<RefState | undefined>
  /** Looks until the state is settled, as somebody would who asks again; what is coarse needs two seconds. */
  readonly settled: (path: string) => Promise<RefState>
}

export function makeLooker(t: Test, settings: Partial<LookSettings> = {}): Looker {
  const root = realpathSync(tempDir(t))
  const all: LookSettings = {
    root,
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
