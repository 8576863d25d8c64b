import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import type {
  Header,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WatchResponse,
} from './messages.js'

export type Grpc = typeof import('@grpc/grpc-js')

/** A method of etcd's API. */
export type Method<Request, Response> = MethodDefinition<Request, Response>

export interface WatchRequest {
  readonly createRequest: {
    readonly key: string
    readonly rangeEnd: string
    readonly startRevision: string
    readonly progressNotify: boolean
  }
}

/** The gRPC library, and the methods of etcd that are used. */
export interface Rpc {
  readonly grpc: Grpc
  readonly txn: Method<TxnRequest, TxnResponse>
  readonly range: Method<RangeRequest, RangeResponse>
  readonly grant: Method<{ readonly TTL: number }, { readonly ID: string; readonly TTL: string }>
  readonly revoke: Method<{ readonly ID: string }, { readonly header: Header }>
  readonly timeToLive: Method<{ readonly ID: string }, { readonly TTL: string }>
  readonly watch: Method<WatchRequest, WatchResponse>
  readonly authenticate: Method<
    { readonly name: string; readonly password: string },
    { readonly token: string }
  >
}

let loaded: Promise<Rpc> | undefined

/** Loads the gRPC library, which takes about 100 ms and which only fleets with etcd need; once. */
export const loadRpc = (): Promise<Rpc> => (loaded ??= load())

async function load(): Promise<Rpc> {
  const [grpc, { load: loadProto }] = await Promise.all([
    import('@grpc/grpc-js'),
    import('@grpc/proto-loader'),
  ])
  // Revisions, ids of leases and of clusters are integers that JavaScript's numbers cannot hold.
  const definitions = await loadProto(fileURLToPath(new URL('etcd.proto', import.meta.url)), {
    longs: String,
    enums: String,
    defaults: true,
  })
  const service = (name: string) => definitions[`etcdserverpb.${name}`] as ServiceDefinition
  const [kv, lease] = [service('KV'), service('Lease')]
  return {
    grpc,
    txn: kv['Txn'] as Rpc['txn'],
    range: kv['Range'] as Rpc['range'],
    grant: lease['LeaseGrant'] as Rpc['grant'],
    revoke: lease['LeaseRevoke'] as Rpc['revoke'],
    timeToLive: lease['LeaseTimeToLive'] as Rpc['timeToLive'],
    watch: service('Watch')['Watch'] as Rpc['watch'],
    authenticate: service('Auth')['Authenticate'] as Rpc['authenticate'],
  }
}
