import t from 'tap'
import { AnswerVersions, questionOf } from '../../src/service/answer-versions.js'
import { Rope } from '../../src/streamcache/index.js'
import { everything } from '../support/listings.js'

const question = questionOf(everything)
const chunk = (size: number): Buffer => Buffer.alloc(size, 'x')

t.test('the last eight versions are found by key, question and digest', (t) => {
  const versions = new AnswerVersions(1 << 20)
  const ropes = Array.from({ length: 10 }, () => new Rope([chunk(10)]))
  ropes.forEach((rope, index) => versions.note('a', question, `digest ${index}`, rope))
  t.equal(versions.find('a', question, 'digest 1'), undefined)
  for (let index = 2; index < 10; index++)
    t.equal(versions.find('a', question, `digest ${index}`), ropes[index])
  t.equal(versions.find('b', question, 'digest 9'), undefined)
  t.equal(versions.find('a', 'another', 'digest 9'), undefined)
  t.end()
})

t.test('memory that versions share counts once, and is bounded', (t) => {
  const versions = new AnswerVersions(50_000)
  const shared = Array.from({ length: 3 }, () => chunk(10_000))
  for (let index = 0; index < 5; index++)
    versions.note('a', question, `${index}`, new Rope([...shared, chunk(100)]))
  t.ok(versions.bytes > 30_500 && versions.bytes < 35_000, `${versions.bytes}`)
  t.ok(versions.find('a', question, '0'))
  versions.note('a', question, 'big', new Rope([chunk(40_000)]))
  t.equal(versions.find('a', question, '4'), undefined, 'older versions make room')
  t.ok(versions.find('a', question, 'big'))
  versions.note('b', question, 'other', new Rope([chunk(20_000)]))
  t.equal(versions.find('a', question, 'big'), undefined, 'and other keys')
  versions.note('b', question, 'too big', new Rope([chunk(60_000)]))
  t.equal(versions.find('b', question, 'too big'), undefined)
  t.ok(versions.bytes <= 50_000)
  t.end()
})

t.test('so are questions', (t) => {
  const versions = new AnswerVersions(1 << 20)
  const rope = new Rope([chunk(10)])
  for (let index = 0; index < 300; index++) versions.note('a', `question ${index}`, 'digest', rope)
  t.equal(versions.find('a', 'question 255', 'digest'), rope)
  t.equal(versions.find('a', 'question 256', 'digest'), undefined)
  const long = 'refs/'.repeat(300)
  versions.note('a', long, 'digest', rope)
  t.equal(versions.find('a', long, 'digest'), undefined)
  t.end()
})
