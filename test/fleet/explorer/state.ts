/**
 * The state of the fills of one key in a fleet, for a search through all interleavings (the steps are in explorer.ts). The
 * repository has two states, 0 and then 1, which are also the bytes that a fill of them makes.
 */

/** Ways to break the protocol, each of which the search must notice. */
export type Fault =
  | 'publishes are recorded by key, not by token'
  | 'leases are renewed by key, not by token'
  | 'tokens repeat after a loss of memory'
  | 'held leases are granted'
  | 'a node is told to wait for its own lease'
  | 'robbing by a token ends whatever lease there is'
  | 'robbing is ignored'
  | 'asked nodes wait for borrowed fills'
  | 'entries of other nodes are trusted by age'
  | 'borrowed bytes are committed without a second observation'
  | 'nodes whose engine is away wait for it'
  | 'the death of an asked node is not noticed'

/** Rules that are not needed: the search finds nothing wrong without them. */
export type Freedom = 'nodes go on waiting when the fill turns out to be borrowed'

export interface Scene {
  /** Requests that arrive at each node. */
  readonly requests: readonly number[]
  /** Does the repository change, once, at any time? */
  readonly changes: boolean
  readonly crashes: number
  /** Times that a lease comes near its time limit, and may then expire or be renewed. */
  readonly agings: number
  /** Times that the engine loses its memory. */
  readonly flushes: number
  /** Operations that the engine does not answer; they may have taken effect or not. */
  readonly absences: number
  readonly fault?: Fault | Freedom
}

/** A fencing token; only the number counts for the engine. Of grants with the same number, the checks know the others. */
export interface Token {
  readonly number: number
  readonly grant: number
}

/**
 * A fill of the key by a node:
 * claiming → running → read (made here), or claiming → asking → waiting or gathered (at another node) → got.
 */
export interface Fill {
  readonly is: 'claiming' | 'running' | 'read' | 'asking' | 'waiting' | 'gathered' | 'got'
  /** What was observed before it began. */
  readonly state: number
  /** Was it begun for another node, and is for no request of this one? */
  readonly forPeer: boolean
  /** Of its lease; undefined: it has none. */
  readonly token?: Token | undefined
  /** The node that was asked, and the token that named it. */
  readonly peer?: number | undefined
  readonly peerToken?: Token | undefined
  /** To be named in the claim. */
  readonly rob?: Token | undefined
  /** Times that an asked node has refused. */
  readonly refusals: number
  /** The bytes; undefined: there are none yet. */
  readonly value?: number | undefined
}

export interface Node {
  readonly alive: boolean
  /** Requests that have not arrived yet. */
  readonly away: number
  /** The oldest state that may answer all requests that wait for the fill, and for the one after it; undefined: none wait. */
  readonly waiting?: number | undefined
  readonly gathered?: number | undefined
  readonly fill?: Fill | undefined
  readonly entry?: Entry | undefined
  /** What is still to be published. */
  readonly unpublished?: { readonly token: Token; readonly state: number | undefined } | undefined
}

export interface Entry {
  readonly state: number
  readonly value: number
}

/** Nothing in it is changed, but by the step that has just copied it (`copy`), and nodes only as a whole. */
export interface State {
  version: number
  nodes: Node[]
  lease: { readonly node: number; readonly token: Token; readonly old: boolean } | undefined
  published: { readonly node: number; readonly token: Token; readonly state: number } | undefined
  /** Grants so far, and the number of the next token. */
  grants: number
  numbers: number
  /** For the checks: the grants that were neither published, lost, robbed nor given anew. */
  valid: readonly number[]
  /** For the checks: runs of a producer and entries that were made by one, for each state. */
  runs: readonly number[]
  commits: readonly number[]
  crashes: number
  agings: number
  flushes: number
  absences: number
}

export const initial = ({ requests, crashes, agings, flushes, absences }: Scene): State => ({
  version: 0,
  nodes: requests.map((away) => ({ alive: true, away })),
  lease: undefined,
  published: undefined,
  grants: 0,
  numbers: 0,
  valid: [],
  runs: [0, 0],
  commits: [0, 0],
  crashes,
  agings,
  flushes,
  absences,
})

export const copy = (state: State): State => ({ ...state, nodes: state.nodes.slice() })

/** Is the fill's maker another node, so far as is known? */
export const isBorrowed = ({ is }: Fill): boolean =>
  is === 'asking' || is === 'waiting' || is === 'gathered' || is === 'got'
