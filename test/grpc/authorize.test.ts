import t from 'tap'
import { Metadata } from '@grpc/grpc-js'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Access } from '../../src/access/access.js'
import { Forbidden } from '../../src/access/errors.js'
import type { AccessRequest } from '../../src/access/access-request.js'
import { TrustedProxies } from '../../src/access/proxies.js'
import { Tokens } from '../../src/access/tokens.js'
import { authorizeBy, clientBy, type AuthorizeOptions } from '../../src/grpc/authorize.js'
import type { Caller } from '../../src/grpc/call.js'
import { tempDir } from '../support/temp-dir.js'

const path = '/refstream.v1.RefService/ListRefs'

function callerWith(...fields: [string, string | Buffer][]): Caller {
  const metadata = new Metadata()
  for (const [name, value] of fields) metadata.add(name, value)
  return { metadata, getPath: () => path, getPeer: () => 'x' }
}

/** Authorizes calls with an access control that allows all, or throws this error, and records what it is asked. */
function asking(options: Partial<AuthorizeOptions> = {}, error?: Error) {
  const asked: AccessRequest[] = []
  const check = async (request: AccessRequest) => {
    asked.push(request)
    if (error) throw error
    return { user: undefined }
  }
  const authorize = authorizeBy({
    access: { check } as unknown as Access,
    adminTokens: undefined,
    adminOpen: false,
    clientName: () => undefined,
    ...options,
  })
  return { asked, authorize }
}

const data = { repository: 'team/r.git', service: 'upload-pack' } as const
const admin = { repository: undefined, service: 'admin' } as const

t.test('a call for data is checked like an HTTP request', async (t) => {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' })
  const { asked, authorize } = asking({ clientName: (of) => (of === socket ? 'ci-1' : undefined) })
  const fields: [string, string | Buffer][] = [
    ['Authorization', 'Bearer x'],
    ['x-team', 'a'],
    ['x-team', 'b'],
    ['x-proof-bin', Buffer.from('x')],
  ]
  await authorize(callerWith(...fields), data, socket)
  const headers = { authorization: 'Bearer x', 'x-team': ['a', 'b'], 'x-proof-bin': [] }
  const askedRequest = {
    ...{ transport: 'grpc', service: 'git-upload-pack', repository: 'team/r.git' },
    ...{ headers, method: 'POST', uri: path },
  }
  const via = {
    address: '192.0.2.1',
    peer: '192.0.2.1',
    route: ['192.0.2.1'],
    scheme: 'http',
    host: undefined,
  }
  t.same(asked, [{ ...askedRequest, remoteAddress: '192.0.2.1', knownAs: 'ci-1', via }])
  await authorize(callerWith(...fields), data, undefined)
  t.same(
    asked[1],
    {
      ...askedRequest,
      remoteAddress: undefined,
      knownAs: undefined,
      via: { ...via, address: undefined, peer: undefined, route: [] },
    },
    'a client that disconnected, or that uses a Unix socket, has no address',
  )
  const byProxy = asking({ proxies: new TrustedProxies(['unix']), unix: true })
  const said: [string, string][] = [['x-forwarded-for', '203.0.113.9']]
  await byProxy.authorize(callerWith(...said), data, new Socket())
  t.match(
    byProxy.asked,
    [{ remoteAddress: '203.0.113.9', via: { route: ['203.0.113.9'] } }],
    'a proxy is believed',
  )
  const gone = asking({ proxies: new TrustedProxies(['unix']), unix: false })
  await gone.authorize(callerWith(...said), data, new Socket())
  t.match(gone.asked, [{ remoteAddress: undefined }], 'a connection that has gone is no Unix socket')
  const no = asking({}, new Forbidden())
  await t.rejects(no.authorize(callerWith(), data, socket), { name: 'Forbidden' })
})

t.test('an admin service needs an admin token, and no other credentials', async (t) => {
  const file = join(tempDir(t), 'tokens')
  const write = (token: string): void =>
    writeFileSync(file, `ops:${createHash('sha256').update(token).digest('hex')}\n`)
  write('one')
  let tokens = Tokens.read(file)
  for (const adminOpen of [true, false]) {
    const { asked, authorize } = asking({ adminTokens: () => tokens, adminOpen })
    const call = (...values: string[]): Promise<unknown> =>
      authorize(
        callerWith(...values.map((value): [string, string] => ['authorization', value])),
        admin,
        undefined,
      )
    await call('Bearer one')
    await call('bearer one')
    const basic = `Basic ${Buffer.from('ops:one').toString('base64')}`
    for (const wrong of [[], [''], ['one'], ['Bearer two'], [basic], ['Bearer one', 'Bearer one']]) {
      await t.rejects(call(...wrong), { name: 'RpcError', reason: 'unauthenticated' }, wrong.join())
    }
    write('two')
    tokens = Tokens.read(file)
    await call('Bearer two')
    await t.rejects(call('Bearer one'), { name: 'RpcError' }, 'what was read again counts')
    write('one')
    tokens = Tokens.read(file)
    t.same(asked, [])
  }
})

t.test('without admin tokens, an admin service is open on a local address only', async (t) => {
  await asking({ adminOpen: true }).authorize(callerWith(), admin, undefined)
  const closed = asking({ adminOpen: false }).authorize
  const call = closed(callerWith(['authorization', 'Bearer x']), admin, undefined)
  await t.rejects(call, { name: 'RpcError', reason: 'denied', message: /--admin-token-file/ })
})

t.test('a call takes the share of its peer, or of the client that a trusted proxy names', async (t) => {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' })
  const options = {
    access: { check() {} } as unknown as Access,
    adminTokens: undefined,
    adminOpen: false,
    clientName: () => undefined,
  }
  const caller = callerWith(['x-forwarded-for', '203.0.113.9'])
  t.equal(clientBy(options)(caller, socket), '192.0.2.1')
  const proxies = new TrustedProxies([{ address: '192.0.2.0', bits: 24 }])
  t.equal(clientBy({ ...options, proxies })(caller, socket), '203.0.113.9')
  t.equal(clientBy(options)(caller, undefined), '')
})
