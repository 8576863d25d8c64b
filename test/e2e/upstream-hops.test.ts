import t from 'tap'
import { checkServer } from '../support/upstreams/claims.js'
import { skipReason } from '../support/upstreams/programs.js'
import { stageKinds } from '../support/upstreams/stages.js'

const kind = stageKinds.nginx

t.test('client, refstream, refstream, nginx', { skip: skipReason('nginx', kind.missing()) }, (t) =>
  checkServer(t, kind, 2),
)
