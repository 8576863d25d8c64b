import type { AccessRequest } from '../../src/access/access-request.js'

/** Returns a request to read `r.git` over HTTP without credentials, with these parts changed. */
export const makeRequest = (part: Partial<AccessRequest>): AccessRequest => ({
  transport: 'http',
  service: 'git-upload-pack',
  repository: 'r.git',
  headers: {},
  method: 'GET',
  uri: '/',
  remoteAddress: '192.0.2.1',
  knownAs: undefined,
  ...part,
})
