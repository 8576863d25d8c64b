import {
  hasEnded,
  keyOf,
  tokenOf,
  type Reader,
  type Scene,
  type Sight,
  type State,
  type Turn,
} from './state.js'

/**
 * A name for a state, the same for states from which the same may follow. What makes no difference is left out:
 * which of two readers of one key is which; a token that is past and is found only once, because tokens only move on
 * and nothing will ever equal it; by how much the count of openings has grown, if it has; a version's cover, once its
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
const turnStates: Turn['is'][] = ['looking', 'looked', 'reading', 'read', 'confirmed']

/** One key's entry, turn and readers. */
function nameKey(key: number, state: State, scene: Scene, codes: number[]): void {
  const { openings } = state
  const turn = state.turns[key]
  const entry = state.entries[key]
  const readers = state.readers.filter((_, index) => keyOf(index) === key)
  const tokens = [entry?.token, turn?.sight.token, ...readers.map(({ sight }) => sight?.token)]
  const now = tokenOf(scene, state)
  // With this fault a past token may be met again.
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
  // What stands for a past state will be of no use to anybody: neither its bytes nor the openings since matter.
  const seen = (sight: Sight): number =>
    token(sight.token) === 0 ? 0 : token(sight.token) * 2 + (sight.openings === openings ? 0 : 1)
  if (turn) {
    const past = turn.is === 'looking' || seen(turn.sight) === 0
    codes.push(1 + turnStates.indexOf(turn.is), seen(turn.sight), past ? 0 : (turn.value ?? 9))
  } else codes.push(0)
  const names = readers.map(
    ({ is, from, sight }) => (readerStates.indexOf(is) * 8 + from) * 256 + (sight ? seen(sight) : 0),
  )
  codes.push(...names.sort((one, other) => one - other))
}
