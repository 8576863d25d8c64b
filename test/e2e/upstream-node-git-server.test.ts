import t from 'tap'
import { checkServer } from '../support/upstreams/claims.js'
import { skipReason } from '../support/upstreams/programs.js'
import { stageKinds } from '../support/upstreams/stages.js'

const kind = stageKinds['node-git-server']

t.test(
  'refstream in front of node-git-server',
  { skip: skipReason('node-git-server', kind.missing()) },
  (t) => checkServer(t, kind),
)
