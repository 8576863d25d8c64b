import { fileURLToPath } from 'node:url'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync, type MessageTypeDefinition, type PackageDefinition } from '@grpc/proto-loader'
import { protoPath as healthProto } from 'grpc-health-check'
import { encodeData } from './data-message.js'
import { encodeRefs } from './refs-message.js'

const file = (name: string): string => fileURLToPath(new URL(`${name}.proto`, import.meta.url))

/** Loaded together, because reflection makes one file of each package and of what was loaded with it. */
const definitions: PackageDefinition = loadSync(
  [
    ...['ref_service', 'lease_service', 'cache_service', 'gitaly_smart_http', 'status'].map(file),
    healthProto,
  ],
  // Fields that are not set have their default; messages are null.
  { longs: Number, defaults: true },
)

/** All packages that are served, for reflection. */
export const packages = definitions

/** Methods whose answers are not encoded by protobufjs. */
const ownEncodings: Record<string, (message: never) => Buffer> = {
  '/refstream.v1.RefService/Advertise': encodeData,
  '/refstream.v1.RefService/ListRefs': encodeRefs,
  '/gitaly.SmartHTTPService/InfoRefsUploadPack': encodeData,
}

/** Returns a service by its full name, such as `refstream.v1.RefService`. */
export function serviceNamed(name: string): ServiceDefinition {
  const methods = Object.entries(definitions[name] as ServiceDefinition).map(([key, method]) => {
    const own = ownEncodings[method.path]
    return [key, own ? { ...method, responseSerialize: own } : method]
  })
  return Object.fromEntries(methods) as ServiceDefinition
}

/** Encodes a message by the full name of its type. */
export function encode(name: string, message: object): Buffer {
  return (definitions[name] as MessageTypeDefinition<object, object>).serialize(message)
}

/** google.protobuf.Duration */
export interface Duration {
  readonly seconds: number
  readonly nanos: number
}

export const toDuration = (ms: number): Duration => ({
  seconds: Math.trunc(ms / 1000),
  nanos: Math.floor((ms % 1000) * 1e6),
})

export const toMs = ({ seconds, nanos }: Duration): number => seconds * 1000 + nanos / 1e6

/** google.protobuf.Timestamp has the same shape, counted from 1970. */
export const toTimestamp = (date: Date): Duration => toDuration(date.getTime())
