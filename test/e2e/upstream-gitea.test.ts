import t from 'tap'
import { checkServer } from '../support/upstreams/claims.js'
import { skipReason } from '../support/upstreams/programs.js'
import { stageKinds } from '../support/upstreams/stages.js'

const kind = stageKinds.Gitea

t.test('refstream in front of Gitea', { skip: skipReason('Gitea', kind.missing()) }, (t) =>
  checkServer(t, kind),
)
