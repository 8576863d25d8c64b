import t from 'tap'
import { RequestTail } from '../../src/status/request-tail.js'
import { joinedRequests } from '../../src/status/source.js'

const request = (repository: string) => ({
  ...{ transport: 'http', method: 'GET', kind: 'advertisement', version: 2 },
  ...{ repository, outcome: 'hit', sentBytes: 1, ms: 2 },
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
  t.same(names(late), [], 'nothing is kept once the reader has gone')
  tail.add(request('i'))
  t.same(names(tail.read(late.next)), ['i'])
})

t.test('requests of several processes are put in order', async (t) => {
  const at = (time: number) => ({ ...request(String(time)), at: time })
  const joined = joinedRequests([
    ['1', { requests: [at(1), at(4)], dropped: 1, next: 8 }],
    ['2', { requests: [at(2)], dropped: 2, next: 9 }],
  ])
  t.same(
    joined.requests.map(({ at: time }) => time),
    [1, 2, 4],
  )
  t.same([joined.dropped, joined.next], [3, { 1: 8, 2: 9 }])
})
