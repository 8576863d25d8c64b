import {
  hasEnded,
  keyOf,
  tokenOf,
  type Reader,
  type Scene,
  type ObservedState,
  type State,
  type Round,
} from './state.js'

/**
 * Names a state; states from which the same may follow have the same name. What makes no difference is left out:
 * the order of two readers of one key; a past token that occurs only once, because tokens only move on
 * and none will ever equal it; by how much the count of openings has grown, if it has; a version's cover, once its
 * writer has ended.
 */
export function nameOf(state: State, scene: Scene): string {
  const codes: number[] = []
  for (const version of state.versions) {
    codes.push(
      version.value,
      version.covered || hasEnded(version.writer, state, scene) ? 1 : 0,
      version.writer + 1,
    )
  }
  codes.push(99)
  for (const { done, lease } of state.writers) codes.push(done * 4 + leaseStates.indexOf(lease))
  for (const key of [0, 1]) nameKey(key, state, scene, codes)
  codes.push(state.leases.reduce((bits, index) => bits | (1 << index), 0))
  const ended = state.versions.findLastIndex(({ writer }) => hasEnded(writer, state, scene))
  codes.push(state.crashes, Math.max(state.shown, ended))
  return String.fromCharCode(...codes)
}

const leaseStates = ['none', 'open', 'expired']
const readerStates: Reader['is'][] = ['away', 'asking', 'gathered', 'following', 'answered', 'failed']
const roundStates: Round['is'][] = ['observing', 'observed', 'reading', 'read', 'confirmed']

/** Adds one key's entry, round and readers. */
function nameKey(key: number, state: State, scene: Scene, codes: number[]): void {
  const { openings } = state
  const round = state.rounds[key]
  const entry = state.entries[key]
  const readers = state.readers.filter((_, index) => keyOf(index) === key)
  const tokens = [entry?.token, round?.observed.token, ...readers.map(({ observed }) => observed?.token)]
  const now = tokenOf(scene, state)
  // With this fault a past token may occur again.
  const moveOn = scene.fault !== 'forgets leases in a crash and keeps its boot id'
  const token = (one: number | undefined): number => {
    if (one === undefined) return 0
    if (!moveOn) return one + 8
    if (one === now) return 1
    const first = tokens.indexOf(one)
    return tokens.indexOf(one, first + 1) < 0 ? 0 : 2 + first
  }
  const entryToken = token(entry?.token)
  codes.push(entryToken, entryToken === 0 ? 0 : entry!.value)
  // An entry of a past state is never used again: neither its bytes nor the openings since matter.
  const seen = (observed: ObservedState): number =>
    token(observed.token) === 0 ? 0 : token(observed.token) * 2 + (observed.openings === openings ? 0 : 1)
  if (round) {
    const past = round.is === 'observing' || seen(round.observed) === 0
    codes.push(1 + roundStates.indexOf(round.is), seen(round.observed), past ? 0 : (round.value ?? 9))
  } else codes.push(0)
  const names = readers.map(
    ({ is, from, observed }) => (readerStates.indexOf(is) * 8 + from) * 256 + (observed ? seen(observed) : 0),
  )
  codes.push(...names.sort((one, other) => one - other))
}
