import t from 'tap'
import { Episode } from '../../src/limits/episode.js'
import { FakeClock } from '../support/fake-clock.js'

const create = () => {
  const clock = new FakeClock()
  return { clock, spell: new Episode({ lastsMs: 10_000, pauseMs: 5000, clock }) }
}

t.test('lasts after a while without a long pause, and until there is one', (t) => {
  const { clock, spell } = create()
  t.notOk(spell.lasts)
  t.ok(spell.record(), 'it begins')
  for (let seconds = 4; seconds <= 8; seconds += 4) {
    clock.advance(4000)
    t.notOk(spell.record())
    t.notOk(spell.lasts)
  }
  clock.advance(5000)
  t.notOk(spell.record(), 'a pause of five seconds is none')
  t.ok(spell.lasts)
  clock.advance(5000)
  t.ok(spell.lasts)
  clock.advance(1)
  t.notOk(spell.lasts, 'it is over')
  t.ok(spell.record(), 'another begins')
  t.notOk(spell.lasts)
  t.end()
})

t.test('a moment, however bad, does not last', (t) => {
  const { clock, spell } = create()
  for (let count = 0; count < 1000; count++) spell.record()
  clock.advance(4999)
  t.notOk(spell.lasts)
  t.end()
})
