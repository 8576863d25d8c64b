import fc from 'fast-check'
import t from 'tap'
import { cutListing } from '../../../../src/git/protocol/listing-answer.js'
import { parseLsRefs } from '../../../../src/git/protocol/ls-refs.js'
import { RefListing } from '../../../../src/git/protocol/ref-listing.js'
import type { RefsAsked } from '../../../../src/origin/origin.js'
import { RefsQuestion } from '../../../../src/origin/upstream/refs/refs-question.js'
import { answerTo, type ListedRef } from '../../../support/listings.js'
import { queryOf, refsIn } from '../../../support/ref-answers.js'

/** Beginnings of names; a few that no name has. */
const prefix = fc.constantFrom(
  ...[
    '',
    'H',
    'HEAD',
    'HEADS',
    'refs',
    'refs/',
    'refs/heads/',
    'refs/heads/a',
    'refs/heads/ab',
    'refs/tags/',
  ],
  ...['refs/tags/v1', 'refs/none/', '/', ' refs/', 'refs/heads/a b', '\x7f', 'refs/\n'],
)
const asked: fc.Arbitrary<RefsAsked> = fc.record({
  objectFormat: fc.constantFrom('sha1', 'sha256'),
  unborn: fc.boolean(),
  prefixes: fc.array(prefix, { maxLength: 4 }),
})

const refs: readonly ListedRef[] = [
  { name: 'HEAD', symrefTarget: 'refs/heads/a' },
  { name: 'refs/heads/a' },
  { name: 'refs/heads/ab' },
  { name: 'refs/heads/b/c' },
  { name: 'refs/tags/v1', peeled: '2' },
  { name: 'refs/tags/v10' },
]
const unbornRefs: readonly ListedRef[] = [
  { name: 'HEAD', symrefTarget: 'refs/heads/none', peeled: 'unborn' },
  ...refs.slice(1),
]

const requestOf = (question: RefsQuestion) => {
  const request = parseLsRefs(question.body)
  if (!request) throw new Error('the question is no ls-refs command that Git is sure to read so')
  return request
}

/** What an upstream answers to a question. */
const answerOf = (question: RefsQuestion, all: readonly ListedRef[]): Buffer =>
  answerTo(all, requestOf(question), question.objectFormat as 'sha1' | 'sha256')

function cut(answer: Buffer, wanted: RefsAsked): string {
  const listing = new RefListing()
  listing.append(answer)
  const parts = [...cutListing(listing, queryOf(wanted))].map((part) => part ?? Buffer.alloc(0))
  return Buffer.concat(parts).toString('latin1')
}

t.test('a question is a request for all attributes', async (t) => {
  const { peel, symrefs, unborn, prefixes, objectFormat } = requestOf(
    new RefsQuestion({ objectFormat: 'sha256', unborn: true, prefixes: ['refs/tags/', 'refs/heads/'] }),
  )
  t.same([peel, symrefs, unborn, objectFormat], [true, true, true, 'sha256'])
  t.same(prefixes, ['refs/heads/', 'refs/tags/'])
  t.same(requestOf(new RefsQuestion({})).prefixes, [], 'no prefix: all refs')
  t.same(requestOf(new RefsQuestion({ prefixes: ['', 'refs/'] })).prefixes, [])
  t.same(
    requestOf(new RefsQuestion({ prefixes: ['no name'] })).prefixes,
    ['/'],
    'a prefix of no name at all is not no prefix',
  )
})

t.test('prefixes are in a canonical form', async () => {
  fc.assert(
    fc.property(asked, fc.func(fc.nat()), (one, order) => {
      const question = new RefsQuestion(one)
      const { prefixes } = question
      const isSorted = prefixes.every((each, index) => index === 0 || prefixes[index - 1]! < each)
      const isShort = prefixes.every((each) =>
        prefixes.every((other) => other === each || !each.startsWith(other)),
      )
      const shuffled = [...(one.prefixes ?? []), ...(one.prefixes ?? [])].sort((a, b) => order(a) - order(b))
      const same = new RefsQuestion({ ...one, prefixes: shuffled })
      const again = new RefsQuestion({ ...one, prefixes: prefixes.length === 0 ? [' '] : prefixes })
      return isSorted && isShort && same.name === question.name && again.name === question.name
    }),
  )
})

t.test('equal names, equal requests; and the other way round', async () => {
  fc.assert(
    fc.property(asked, asked, (one, other) => {
      const [first, second] = [new RefsQuestion(one), new RefsQuestion(other)]
      return (first.name === second.name) === first.body.equals(second.body) && !first.name.includes(' ')
    }),
  )
})

t.test('a question that covers another one shows every ref that the other shows', async () => {
  fc.assert(
    fc.property(asked, asked, fc.constantFrom(refs, unbornRefs), (wide, narrow, all) => {
      const [question, covered] = [new RefsQuestion(wide), new RefsQuestion(narrow)]
      fc.pre(question.covers(covered))
      const shown = refsIn(answerOf(question, all).toString('latin1'))
      const wanted = refsIn(answerOf(covered, all).toString('latin1'))
      return [...wanted].every(([name, line]) => shown.get(name) === line)
    }),
    { numRuns: 1000 },
  )
})

t.test('what is cut from the answer to a covering question is the answer', async () => {
  fc.assert(
    fc.property(asked, asked, fc.constantFrom(refs, unbornRefs), (wide, narrow, all) => {
      const [question, covered] = [new RefsQuestion(wide), new RefsQuestion(narrow)]
      fc.pre(question.covers(covered))
      return cut(answerOf(question, all), narrow) === answerOf(covered, all).toString('latin1')
    }),
    { numRuns: 1000 },
  )
})

t.test('a question covers itself and what asks for less, but no other object format', async (t) => {
  const all = new RefsQuestion({ unborn: true })
  const heads = new RefsQuestion({ prefixes: ['refs/heads/'] })
  t.ok(all.covers(all))
  t.ok(all.covers(heads))
  t.notOk(heads.covers(all))
  t.notOk(new RefsQuestion({}).covers(all), 'an unborn HEAD is not shown unless it is asked for')
  t.ok(heads.covers(new RefsQuestion({ prefixes: ['refs/heads/a', 'refs/heads/b'] })))
  t.notOk(new RefsQuestion({ objectFormat: 'sha256' }).covers(heads))
  fc.assert(fc.property(asked, (one) => new RefsQuestion(one).covers(new RefsQuestion(one))))
})

t.test('the size of a question is that of its prefixes, which clients choose', (t) => {
  t.equal(new RefsQuestion({}).size, 0)
  t.equal(new RefsQuestion({ prefixes: ['refs/heads/a', 'refs/heads/a', 'refs/tags/'] }).size, 22)
  t.end()
})
