import type { Fill, Node, Scene, State, Token } from './state.js'

const phases: readonly Fill['is'][] = ['claiming', 'running', 'read', 'asking', 'waiting', 'gathered', 'got']

/**
 * Returns a name that is the same for states between which the search need not distinguish: those in which nodes have changed
 * places, and those which differ in the tokens only, but not in which of them are equal.
 */
export function nameOf(state: State, scene: Scene): string {
  const withNumbers = scene.fault === 'tokens repeat after a loss of memory'
  const codes = state.nodes.map(codeOf)
  let first: string | undefined
  for (const order of ordersOf(codes)) {
    const name = nameInOrder(state, order, withNumbers)
    if (first === undefined || name < first) first = name
  }
  return first!
}

const permutations = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
]

/** Returns the orders of the three nodes in which their codes ascend: more than one if some are equal. */
const ordersOf = (codes: readonly number[]): number[][] =>
  permutations.filter(([a, b, c]) => codes[a!]! <= codes[b!]! && codes[b!]! <= codes[c!]!)

/** Returns a number for what a node is apart from other nodes and tokens. */
function codeOf({ alive, away, waiting, gathered, fill, entry, unpublished }: Node): number {
  let code = 0
  const add = (value: number | undefined, below: number): void => {
    code = code * below + (value === undefined ? 0 : value + 1)
  }
  add(alive ? 1 : 0, 3)
  add(away, 5)
  add(waiting, 3)
  add(gathered, 3)
  add(entry && entry.state * 2 + entry.value, 5)
  add(unpublished && (unpublished.state ?? 2), 4)
  add(fill && phases.indexOf(fill.is), 8)
  add(fill?.state, 3)
  add(fill?.value, 3)
  add(fill && (fill.forPeer ? 1 : 0), 3)
  add(fill?.refusals, 6)
  return code
}

/** Names the state with the nodes in that order; `order[i]` is the node in the ith place. */
function nameInOrder(state: State, order: readonly number[], withNumbers: boolean): string {
  const codes: number[] = []
  const tokens: number[] = []
  const add = (value: number | undefined): void => void codes.push(value === undefined ? 1 : value + 2)
  const addToken = (token: Token | undefined): void => {
    if (!token) return add(undefined)
    let at = tokens.indexOf(token.grant)
    if (at < 0) at = tokens.push(token.grant) - 1
    add(at)
    if (withNumbers) add(token.number)
  }
  const addNode = (node: Node): void => {
    const { fill, unpublished } = node
    const code = codeOf(node)
    codes.push(code & 0xffff, code >> 16)
    if (fill) {
      add(fill.peer === undefined ? undefined : order.indexOf(fill.peer))
      addToken(fill.token)
      addToken(fill.peerToken)
      addToken(fill.rob)
    }
    if (unpublished) addToken(unpublished.token)
  }
  const { lease, published, version, runs, commits, crashes, agings, flushes, absences } = state
  for (const node of order) addNode(state.nodes[node]!)
  add(lease && order.indexOf(lease.node) * 2 + (lease.old ? 1 : 0))
  addToken(lease?.token)
  add(published && order.indexOf(published.node) * 2 + published.state)
  addToken(published?.token)
  add(version)
  for (const count of [...runs, ...commits, crashes, agings, flushes, absences]) add(count)
  if (withNumbers) add(state.numbers)
  for (const grant of state.valid) add(tokens.indexOf(grant))
  return String.fromCharCode(...codes)
}
