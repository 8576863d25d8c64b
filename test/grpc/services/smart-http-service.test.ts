import t from 'tap'
import { EventEmitter, once } from 'node:events'
import type { handleServerStreamingCall, StatusObject } from '@grpc/grpc-js'
import { smartHttpService, type SmartHttpOptions } from '../../../src/grpc/services/smart-http-service.js'
import type { GitOverrides } from '../../../src/origin/git-overrides.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'

interface Asked {
  readonly path: string
  readonly version: number
  readonly overrides?: GitOverrides
}

/** Asks for an advertisement. @returns what the service was asked, and the messages or the error */
async function infoRefs(request: object) {
  const asked: Asked[] = []
  const messages: string[] = []
  async function* advertisement() {
    yield Buffer.from('refs')
  }
  const origin = {
    advertise: async ({ path }: { path: string }, version: number) => {
      asked.push({ path, version })
      return undefined
    },
    advertiseUncached: async ({ path }: { path: string }, version: number, overrides: GitOverrides) => {
      asked.push({ path, version, overrides })
      return advertisement()
    },
  }
  const { InfoRefsUploadPack } = smartHttpService({
    ...{ origin, metrics: new Metrics(), log: createLog('silent'), shed: () => {} },
    ...{ authorize: async () => ({}), clientOf: () => '', gate: { admit: async () => () => {} } },
    responseStalls: { watch: () => () => {} },
    storages: new Map([
      ['default', 'below/it'],
      ['root', ''],
    ]),
  } as unknown as SmartHttpOptions)
  const stream = Object.assign(new EventEmitter(), {
    request: { gitConfigOptions: [], gitProtocol: '', ...request },
    getPath: () => '',
    getDeadline: () => Infinity,
    write: ({ data }: { data: Buffer }, written: () => void) => {
      messages.push(data.toString())
      setImmediate(written)
    },
    end: () => stream.emit('ended'),
  })
  const over = once(stream, 'ended').then(
    () => undefined,
    (error: unknown) => (error as StatusObject).details,
  )
  ;(InfoRefsUploadPack as handleServerStreamingCall<unknown, unknown>)(stream as never)
  return { error: await over, asked, messages }
}

const repository = (storageName: string, relativePath: string, more: object = {}) => ({
  repository: {
    ...{ storageName, relativePath, gitObjectDirectory: '', gitAlternateObjectDirectories: [], ...more },
  },
})

t.test('a repository lies in its storage', async (t) => {
  t.match((await infoRefs(repository('default', 'r.git'))).asked, [
    { path: 'below/it/r.git', version: 0 },
    {},
  ])
  t.match((await infoRefs(repository('root', 'r.git'))).asked, [{ path: 'r.git', version: 0 }, {}])
})

t.test('a request without a repository, or with a wrong one, is refused', async (t) => {
  for (const [request, error] of [
    [{ repository: null }, /repository is missing/],
    [repository('other', 'r.git'), /there is no storage "other"/],
    [repository('x'.repeat(200), 'r.git'), /^.{0,200}$/],
    [repository('default', '../r.git'), /not the path/],
  ] as const) {
    const answer = await infoRefs(request)
    t.match(answer.error, error)
    t.same(answer.asked, [])
  }
})

t.test('overrides ask for an uncached advertisement at once', async (t) => {
  const quarantine = { gitObjectDirectory: 'q', gitAlternateObjectDirectories: ['objects'] }
  t.same((await infoRefs(repository('root', 'r.git', quarantine))).asked, [
    {
      path: 'r.git',
      version: 0,
      overrides: { configOptions: [], objectDirectory: 'q', alternateObjectDirectories: ['objects'] },
    },
  ])
})

t.test('in version 2, the service is announced as in the other versions', async (t) => {
  const announced = '001e# service=git-upload-pack\n0000refs'
  const { messages } = await infoRefs({ ...repository('root', 'r.git'), gitProtocol: 'version=2' })
  t.same(messages, [announced])
  t.same((await infoRefs(repository('root', 'r.git'))).messages, ['refs'], 'Git announces it itself')
})
