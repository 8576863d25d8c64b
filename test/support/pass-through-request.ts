import { Readable } from 'node:stream'
import type { PassThroughBody, PassThroughRequest } from '../../src/origin/pass-through.js'

/** Returns a body of which all has been read. */
export const wholeBody = (text = ''): PassThroughBody => ({
  beginning: Buffer.from(text, 'latin1'),
  ended: true,
  rest: Readable.from([]),
})

/** Returns a request that passes through: a GET without a body, except for what is given. */
export const passThroughRequestOf = (given: Partial<PassThroughRequest> = {}): PassThroughRequest => ({
  ...{
    method: 'GET',
    uri: '/r.git/HEAD',
    headers: [],
    body: wholeBody(),
    resource: '/HEAD',
    service: undefined,
  },
  ...{ contentType: undefined, contentLength: undefined, contentEncoding: undefined },
  ...{ gitProtocol: undefined, remoteUser: undefined, remoteAddress: undefined },
  ...given,
})
