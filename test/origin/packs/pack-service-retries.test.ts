import t from 'tap'
import type { Reading } from '../../../src/freshness/fresh-cache.js'
import { DiskPacks, type DiskPacksOptions } from '../../../src/origin/disk/disk-packs.js'
import { ServiceDisabled } from '../../../src/origin/faults/errors.js'
import { PackRefused } from '../../../src/git/process/pack-answer.js'
import type { FetchRequest } from '../../../src/git/protocol/fetch-request.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { PackService, type PackServiceOptions } from '../../../src/origin/packs/pack-service.js'
import { FillError } from '../../../src/streamcache/index.js'

const asked = { objectFormat: 'sha1' } as FetchRequest
const fillError = (cause: unknown): FillError => new FillError('producer', 'failed', { cause })
const shed = fillError(new Overloaded('wait', 1))
const refused = fillError(new PackRefused(Buffer.from('000cERR no')))

type Answer = readonly [reuse: Reading['reuse'], first: string | FillError]

interface Rig {
  readonly service: PackService
  /** What was counted. */
  readonly counted: string[]
}

const observation = (...mentioned: string[]): object => ({
  repository: { commonDir: '/r' },
  config: { mentioned: new Set(mentioned) },
})

const servingConfig = (): object => ({ objectFormat: 'sha1' })

/** A service whose cache gives these answers, one for each try. */
function create(answers: readonly Answer[], disk: object = {}): Rig {
  const left = [...answers]
  const counted: string[] = []
  const read = async (): Promise<unknown> => {
    const [reuse, first] = left.shift()!
    const bytes = (): Buffer => {
      if (typeof first === 'string') return Buffer.from(first)
      throw first
    }
    return { reuse, entry: { length: 0 }, follower: { read: bytes, close: () => {} } }
  }
  const options = {
    enabled: true,
    source: new DiskPacks({
      served: { observeObjects: async () => observation(), servingConfig },
      names: { stateOf: async () => ({ name: 'name', unsettledMs: 0, maxAgeMs: Infinity }) },
      ...disk,
    } as unknown as DiskPacksOptions),
    cache: { read },
    reports: {
      passed: (why: string) => counted.push(why),
      answered: ({ reuse }: Reading) => counted.push(reuse),
      refused: () => counted.push('refused'),
    },
  } as unknown as PackServiceOptions
  return { service: new PackService(options), counted }
}

async function outcome({ service }: Rig, admitted: boolean): Promise<unknown> {
  const client = { admitted, attached: () => {}, throwIfAborted: () => {} }
  try {
    const answer = await service.fetch({ path: 'r.git' }, asked, client)
    return answer ? `${answer.reuse} ${answer.first}` : undefined
  } catch (error) {
    return error
  }
}

t.test('an admitted client is not shed with clients that are not', async (t) => {
  const answers: Answer[] = [
    ['joined', shed],
    ['joined', shed],
    ['joined', shed],
    ['filled', 'pack'],
  ]
  t.equal(await outcome(create(answers), true), 'filled pack')
  t.equal(await outcome(create(answers), false), shed, 'one of those has two tries')
})

t.test('a refusal is asked for again only where it may be older than the request', async (t) => {
  const twice = create([
    ['joined', refused],
    ['joined', refused],
  ])
  t.equal(await outcome(twice, true), refused)
  t.same(twice.counted, ['refused'])
  t.equal(await outcome(create([['filled', refused]]), true), refused)
})

t.test('what a changed configuration forbids meanwhile is not shared', async (t) => {
  let count = 0
  const names = {
    stateOf: async () => ({ name: 'name', unsettledMs: count === 1 ? 1 : 0, maxAgeMs: Infinity }),
  }
  const observeObjects = async (): Promise<object> =>
    observation(...(++count === 2 ? ['uploadpack.packobjectshook'] : []))
  const hooked = create([], { names, served: { observeObjects, servingConfig } })
  t.equal(await outcome(hooked, true), undefined)
  t.same(hooked.counted, ['hook'])

  count = 0
  const disabledThen = (): object => {
    if (count === 2) throw new ServiceDisabled('http.uploadpack is off')
    return servingConfig()
  }
  const disabled = create([], { names, served: { observeObjects, servingConfig: disabledThen } })
  t.match(await outcome(disabled, true), { name: 'ServiceDisabled' })
})
