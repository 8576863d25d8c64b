import fc from 'fast-check'
import t from 'tap'
import { explore } from './explorer/explorer.js'
import { replay } from './explorer/replay.js'
import type { Fault, Scene } from './explorer/state.js'

const quiet: Scene = { requests: [1, 1, 1], changes: true, crashes: 0, agings: 0, flushes: 0, absences: 0 }
const all: Scene = { ...quiet, crashes: 1, agings: 1, flushes: 1, absences: 1 }

t.test('in every interleaving, nodes share fills, no answer is stale, and none waits forever', async (t) => {
  // All faults at once are 1.1 million states: REFSTREAM_TEST_EXPLORE=all searches them.
  const whole = process.env['REFSTREAM_TEST_EXPLORE'] === 'all'
  const scenes: Record<string, Scene> = {
    'nothing happens': { ...quiet, requests: [2, 2, 2], changes: false },
    'the repository changes': { ...quiet, requests: [2, 1, 1] },
    'a crash and a loss of memory': { ...quiet, crashes: 1, flushes: 1 },
    'a crash and a lease that expires': { ...quiet, crashes: 1, agings: 1 },
    'a crash and an operation without an answer': { ...quiet, crashes: 1, absences: 1 },
    'a lease that expires, a loss of memory, and an operation without an answer': {
      ...all,
      changes: false,
      crashes: 0,
    },
    ...(whole && { 'all faults': all }),
  }
  let total = 0
  for (const [name, scene] of Object.entries(scenes)) {
    const { states, steps, broken, runsMax } = explore(scene)
    total += states
    t.same(
      [...broken],
      [],
      `${name}: ${states} states, ${steps} steps, at most ${runsMax} fills for one state`,
    )
    const { crashes, agings, flushes, absences, changes } = scene
    if (crashes + agings + flushes + absences === 0 && !changes) t.equal(runsMax, 1, 'one fill for the state')
  }
  t.comment(`${total} states`)
})

t.test('each rule is needed: the search finds what goes wrong without it', async (t) => {
  const faults: Record<Fault, readonly [Scene, RegExp]> = {
    'publishes are recorded by key, not by token': [{ ...quiet, agings: 1 }, /a publish with a lost token/],
    'leases are renewed by key, not by token': [{ ...quiet, agings: 1 }, /a lost lease is renewed/],
    'tokens repeat after a loss of memory': [{ ...quiet, flushes: 1 }, /a publish with a lost token/],
    'held leases are granted': [quiet, /two holders/],
    'a node is told to wait for its own lease': [{ ...quiet, requests: [2, 1, 0] }, /a loser write/],
    'robbing by a token ends whatever lease there is': [{ ...quiet, crashes: 1 }, /the token of another/],
    'robbing is ignored': [{ ...quiet, crashes: 1 }, /circles/],
    'asked nodes wait for borrowed fills': [{ ...quiet, crashes: 1, absences: 1 }, /waits forever/],
    'entries of other nodes are trusted by age': [{ ...quiet, requests: [2, 1, 1] }, /stale by another node/],
    'borrowed bytes are committed without a second observation': [quiet, /the bytes of another state/],
    'nodes whose engine is away wait for it': [{ ...quiet, absences: 1 }, /waits forever/],
    'the death of an asked node is not noticed': [{ ...quiet, crashes: 1 }, /waits forever/],
  }
  for (const [fault, [scene, expected]] of Object.entries(faults) as [Fault, readonly [Scene, RegExp]][]) {
    const { broken, states } = explore({ ...scene, fault })
    t.match([...broken.keys()].join(), expected, fault)
    for (const [rule, path] of broken) t.comment(`${fault}: ${rule} (${states} states): ${path.join(', ')}`)
  }
})

t.test(
  'a chain of nodes that wait for one another does no harm if the last one makes the entry',
  async (t) => {
    const fault = 'nodes go on waiting when the fill turns out to be borrowed'
    const { broken } = explore({ ...quiet, crashes: 1, absences: 1, fault })
    t.same([...broken], [])
  },
)

t.test('the table answers as the model of an engine does', async (t) => {
  let operations = 0
  const scene: Scene = { ...all, requests: [3, 3, 3], crashes: 2, agings: 3, flushes: 2, absences: 2 }
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.nat(0xffff)), async (choices) => {
      operations += await replay(scene, (below) => choices.next().value % below)
    }),
    { numRuns: 300 },
  )
  t.comment(`${operations} operations`)
})
