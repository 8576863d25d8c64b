import t from 'tap'
import { Episode } from '../../src/limits/episode.js'
import { FakeClock } from '../support/fake-clock.js'

const create = () => {
  const clock = new FakeClock()
  return { clock, episode: new Episode({ lastsMs: 10_000, pauseMs: 5000, clock }) }
}

t.test('an episode lasts after a while without a long pause, until there is one', (t) => {
  const { clock, episode } = create()
  t.notOk(episode.lasts)
  t.ok(episode.record(), 'an episode starts')
  for (let seconds = 4; seconds <= 8; seconds += 4) {
    clock.advance(4000)
    t.notOk(episode.record())
    t.notOk(episode.lasts)
  }
  clock.advance(5000)
  t.notOk(episode.record(), 'a pause of just five seconds does not end it')
  t.ok(episode.lasts)
  clock.advance(5000)
  t.ok(episode.lasts)
  clock.advance(1)
  t.notOk(episode.lasts, 'it is over')
  t.ok(episode.record(), 'another episode starts')
  t.notOk(episode.lasts)
  t.end()
})

t.test('a short burst does not last', (t) => {
  const { clock, episode } = create()
  for (let count = 0; count < 1000; count++) episode.record()
  clock.advance(4999)
  t.notOk(episode.lasts)
  t.end()
})
