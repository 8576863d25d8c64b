import t from 'tap'
import { PeerRefused } from '../../../src/fleet/peers/peer.js'
import { PeerAnswers } from '../../../src/origin/peers/peer-answers.js'
import {
  fetchOf,
  packQuestion,
  parseQuestion,
  type PackQuestion,
} from '../../../src/origin/peers/peer-question.js'
import { parsed, sha1, v2 } from '../../support/fetch-requests.js'

const disk = {
  origin: 'disk',
  path: 'r.git',
  repository: 'i',
  asked: { kind: 'listing', objectFormat: 'sha1' },
}
const { signal } = new AbortController()

void t.test('questions go to their origin', async (t) => {
  const heard: unknown[] = []
  const answers = new PeerAnswers({
    disk: { answer: async (question) => ({ question }) as never },
    upstream: undefined,
    hear: (message) => heard.push(message),
  })
  t.match(await answers.answer(disk, signal), { question: disk })
  answers.hear({ a: 1 })
  t.strictSame(heard, [{ a: 1 }])
  const none = new PeerAnswers({ disk: undefined, upstream: undefined, hear: () => {} })
  await t.rejects(none.answer(disk, signal), { name: 'PeerRefused', why: 'different' })
})

void t.test('questions of another version are refused, without what they say', async (t) => {
  const refused = { name: 'PeerRefused', why: 'different' }
  for (const question of [
    {},
    { ...disk, newer: 1 },
    { ...disk, asked: { kind: 'blob' } },
    { ...disk, path: 1 },
  ])
    t.throws(() => parseQuestion(question), refused)
  try {
    parseQuestion({ ...disk, path: ['secret'] })
  } catch (error) {
    t.notMatch((error as PeerRefused).message, /secret/)
  }
})

void t.test('a fetch is the same on another node', async (t) => {
  const asked = parsed(v2(['agent=git/1'], [`want ${sha1}`, 'done']))
  const question = JSON.parse(JSON.stringify(packQuestion(asked, true))) as PackQuestion
  t.strictSame(fetchOf(question), asked)
  t.throws(() => fetchOf({ ...question, body: Buffer.from('junk').toString('base64') }), {
    name: 'PeerRefused',
  })
})
