import t from 'tap'
import { RequestTail, type TailedRequest } from '../../src/status/request-tail.js'
import { joinedRequests } from '../../src/status/source.js'

const request = (repository: string) => ({
  ...{ id: `id of ${repository}`, transport: 'http', method: 'GET', kind: 'advertisement', version: 2 },
  ...{ shownRepository: repository, outcome: 'hit', sentBytes: 1, elapsedMs: 2.04, waitedMs: 0 },
  ...{ firstByteMs: undefined, user: 'alice' },
  details: () => ({ status: 200, attributes: { 'client.address': '192.0.2.1', 'url.scheme': 'https' } }),
})

t.test('a reader gets each request once, and is told of those that it missed', async (t) => {
  let now = 0
  const tail = new RequestTail({ max: 3, keepMs: 100, now: () => now })
  tail.add(request('before'))
  const first = tail.read()
  t.same([first.requests, first.dropped], [[], 0], 'nothing is kept without a reader')
  for (const name of ['a', 'b']) tail.add(request(name))
  const names = ({ requests }: typeof first) => requests.map(({ repository }) => repository)
  const second = tail.read(first.next)
  t.same([names(second), second.dropped], [['a', 'b'], 0])
  for (const name of ['c', 'd', 'e', 'f', 'g']) tail.add(request(name))
  const third = tail.read(second.next)
  t.same([names(third), third.dropped], [['e', 'f', 'g'], 2])
  t.same(names(tail.read(third.next)), [])
  t.same(names(tail.read(second.next)), ['e', 'f', 'g'], 'readers do not disturb one another')
  now = 100
  tail.add(request('h'))
  const late = tail.read(third.next)
  t.same([names(late), late.dropped], [[], 1], 'nothing is kept once the reader has gone, but it is counted')
  tail.add(request('i'))
  t.same(names(tail.read(late.next)), ['i'])
})

t.test('what a reader does not want is passed over, and an answer has an end', async (t) => {
  const tail = new RequestTail({ max: 9, keepMs: 100, now: () => 0 })
  const { next: from } = tail.read()
  for (const name of ['a', 'b', 'a', 'a', 'b']) tail.add(request(name))
  const is = ({ repository }: TailedRequest): boolean => repository === 'a'
  const first = tail.read(from, { max: 2, is })
  t.equal(first.requests.length, 2)
  const second = tail.read(first.next, { max: 2, is })
  t.equal(second.requests.length, 1)
  t.equal(second.next, 5, 'the last one was looked at')
  t.equal(second.dropped, 0)
})

t.test('what makes work to find out is asked for only while there is a reader', async (t) => {
  const tail = new RequestTail({ max: 9, keepMs: 100, now: () => 0 })
  const details = (): never => t.fail('there is no reader') as never
  tail.add({ ...request('a'), details })
  const { next } = tail.read()
  tail.add({ ...request('b'), outcome: undefined })
  t.match(tail.read(next).requests, [
    {
      ...{ id: 'id of b', repository: 'b', outcome: 'error', status: 200, ms: 2, waitedMs: 0 },
      ...{ user: 'alice', client: '192.0.2.1', scheme: 'https', sentBytes: 1 },
    },
  ])
})

t.test('an answer takes no longer than it may, and the next one goes on behind it', async (t) => {
  let now = 0
  const tail = new RequestTail({ max: 9, keepMs: 100, now: () => now })
  const { next: from } = tail.read()
  for (const name of ['a', 'b', 'c']) tail.add(request(name))
  const isSlow = (): boolean => (now += 4) > 0
  const first = tail.read(from, { max: 9, forMs: 5, is: isSlow })
  t.equal(first.requests.length, 2)
  const second = tail.read(first.next, { max: 9, forMs: 5 })
  t.same([second.requests.length, second.dropped], [1, 0])
})

t.test('what clients have made long is cut', async (t) => {
  const tail = new RequestTail({ max: 9, keepMs: 100, now: () => 0 })
  const { next } = tail.read()
  tail.add({ ...request('a'.repeat(4096)), user: 'u'.repeat(4096) })
  const [kept] = tail.read(next).requests
  t.same([kept?.repository?.length, kept?.user?.length], [512, 256])
})

t.test('requests of several processes are put in order', async (t) => {
  const at = (time: number): TailedRequest => ({
    ...{ at: time, id: '', transport: 'http', method: 'GET', kind: 'advertisement', version: 2 },
    ...{ outcome: 'hit', sentBytes: 0, ms: 0, waitedMs: 0 },
  })
  const joined = joinedRequests([
    ['1', { requests: [at(1), at(4)], dropped: 1, next: 8 }],
    ['2', { requests: [at(2)], dropped: 2, next: 9 }],
  ])
  t.same(
    joined.requests.map(({ at: time }) => time),
    [1, 2, 4],
  )
  t.same([joined.dropped, joined.next], [3, { 1: 8, 2: 9 }])
  t.same(
    joinedRequests([['1', { requests: [], dropped: 0, next: 8 }]], { 1: 7, 2: 5 }).next,
    { 1: 8, 2: 5 },
    'a process that did not answer is asked from there again',
  )
})
