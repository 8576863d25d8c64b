import t from 'tap'
import { explore } from './explorer/explorer.js'
import type { Fault, Scene, Script } from './explorer/state.js'

const writer: Script = { steps: ['open', 'write', 'end'], changed: true, unlucky: false }
const unlucky: Script = { ...writer, unlucky: true }
const idle: Script = { steps: ['open', 'end'], changed: false, unlucky: false }
const dying: Script = { steps: ['open', 'write'], changed: true, unlucky: true }
const careless: Script = { steps: ['write'], changed: true, unlucky: false }
/** Its change was visible for a while, and then it reports that there was none. */
const liar: Script = { steps: ['open', 'write', 'undo', 'end'], changed: false, unlucky: false }

const whole = { mode: 'lease', writers: [writer, unlucky], readers: 3, crashes: 1 } as const
/** For rules that need neither a crash nor a second writer. */
const small = { ...whole, writers: [writer], crashes: 0 }

t.test('in every interleaving, every answer is as fresh as promised', async (t) => {
  const scenes: Record<string, Scene> = {
    'leases decide': whole,
    'the disk decides': { ...whole, mode: 'observe' },
    'the disk decides, and no leases are opened': {
      ...whole,
      mode: 'observe',
      writers: [careless, careless],
    },
    'a lease without a change beside one that expires': { ...whole, writers: [idle, unlucky] },
    'a writer dies': { ...whole, writers: [dying, idle] },
  }
  for (const [name, scene] of Object.entries(scenes)) {
    const { states, broken } = explore(scene)
    t.same([...broken], [], `${name}: ${states} states`)
  }
})

t.test('each rule is needed: the search finds what goes wrong without it', async (t) => {
  const faults: Record<string, readonly [Scene, Fault, RegExp]> = {
    'a fill for another state is joined': [small, 'joins any fill', /stale by a fill/],
    'a fill for another state is joined where the disk decides': [
      { ...small, mode: 'observe', writers: [careless] },
      'joins any fill',
      /stale by a fill/,
    ],
    'no observation after the arrival': [small, 'uses earlier observations', /stale/],
    'reuse under a lease': [small, 'ignores open leases', /stale/],
    'an expired lease without consequences': [
      { ...small, writers: [unlucky] },
      'keeps the generation at expiry',
      /stale/,
    ],
    'no journal': [{ ...whole, writers: [writer] }, 'forgets leases in a crash', /stale/],
    'no journal and no new process id at start': [
      { ...whole, writers: [writer] },
      'forgets leases in a crash and keeps its boot id',
      /stale by a hit/,
    ],
    'leases without a time limit': [
      { ...small, writers: [dying] },
      'lets no lease expire',
      /no hit when nothing changes/,
    ],
    'rounds that answer only their own followers': [small, 'forgets gathered requests', /waits forever/],
  }
  for (const [name, [scene, fault, expected]] of Object.entries(faults)) {
    const { broken } = explore({ ...scene, fault })
    t.match([...broken.keys()].join(), expected, name)
    for (const [rule, path] of broken) t.comment(`${name}: ${rule}: ${path.join(', ')}`)
  }
})

t.test('why `changed: false` must mean that no change was visible at any time', async (t) => {
  const scene = { ...small, writers: [liar] }
  const rules = ({ broken }: ReturnType<typeof explore>): string[] => [...broken.keys()]
  t.same(
    rules(explore(scene, true)),
    ['stale by a fill'],
    'some requests that join a fill see what was undone',
  )
  const blind: Scene = { ...scene, fault: 'confirms without counting openings' }
  t.same(
    rules(explore(blind, true)),
    ['stale by a fill', 'stale by a hit'],
    'and without the count of openings it would be committed',
  )
  t.same(rules(explore({ ...scene, mode: 'observe' }, true)), [], 'where the disk decides it is harmless')
})
