import t from 'tap'
import { checkServer } from '../support/upstreams/claims.js'
import { skipReason } from '../support/upstreams/programs.js'
import { stageKinds } from '../support/upstreams/stages.js'

const kind = stageKinds['dulwich']

t.test('refstream in front of dulwich', { skip: skipReason('dulwich', kind.missing()) }, (t) =>
  checkServer(t, kind),
)
