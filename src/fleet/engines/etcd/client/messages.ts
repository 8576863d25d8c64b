/** The messages of etcd.proto as they are decoded: 64-bit integers are decimal text. */
export interface Header {
  /** Unsigned. */
  readonly clusterId: string
  readonly revision: string
}

export interface KeyValue {
  readonly key: string
  readonly modRevision: string
  /** Writes of the key since it was created. */
  readonly version: string
  readonly value: string
  /** The id of the etcd lease that the key is attached to; `0`: none. */
  readonly lease: string
}

export interface RangeRequest {
  readonly key: string
  readonly rangeEnd?: string
  readonly limit?: number
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
}

export interface RangeResponse {
  readonly header: Header
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: string
}

export type Operation =
  | { readonly requestRange: RangeRequest }
  | { readonly requestPut: { readonly key: string; readonly value: string; readonly lease?: string } }
  | { readonly requestDeleteRange: { readonly key: string; readonly prevKv?: boolean } }

export interface OperationResponse {
  readonly responseRange?: RangeResponse | null
  readonly responseDeleteRange?: { readonly prevKvs: readonly KeyValue[] } | null
}

export interface Comparison {
  readonly key: string
  readonly target: 'MOD'
  readonly result: 'EQUAL' | 'GREATER'
  readonly modRevision: string
}

export interface TxnRequest {
  /** If all of them hold, `success` is done, else `failure`. */
  readonly compare?: readonly Comparison[]
  readonly success: readonly Operation[]
  readonly failure?: readonly Operation[]
}

export interface TxnResponse {
  readonly header: Header
  readonly succeeded: boolean
  readonly responses: readonly OperationResponse[]
}

export interface WatchResponse {
  readonly header: Header
  readonly created: boolean
  readonly canceled: boolean
  readonly compactRevision: string
  readonly cancelReason: string
  readonly events: readonly { readonly type: 'PUT' | 'DELETE'; readonly kv: KeyValue }[]
}

/** The modification revision of a key that does not exist. */
export const absent = '0'

/** Holds if a key was written last at that revision; `absent`: if there is no such key. */
export const isAt = (key: string, modRevision: string): Comparison => ({
  key,
  target: 'MOD',
  result: 'EQUAL',
  modRevision,
})

export const exists = (key: string): Comparison => ({
  key,
  target: 'MOD',
  result: 'GREATER',
  modRevision: absent,
})

export const put = (key: string, value: string, lease = '0'): Operation => ({
  requestPut: { key, value, lease },
})

/** Removes a key; nothing happens if there is none. */
export const remove = (key: string): Operation => ({ requestDeleteRange: { key, prevKv: true } })

/** Reads all keys that begin with a prefix of at least one character, whose last one is ASCII. */
export const prefixed = (
  prefix: string,
  options: Omit<RangeRequest, 'key' | 'rangeEnd'> = {},
): RangeRequest => ({
  key: prefix,
  rangeEnd: prefixEnd(prefix),
  ...options,
})

export const range = (request: RangeRequest): Operation => ({ requestRange: request })

/** Returns the first key after all that begin with a prefix. */
export const prefixEnd = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
