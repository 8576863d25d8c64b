import t from 'tap'
import { bytesText, secondsText } from '../../src/status/units.js'

t.test('bytes and seconds are written with a unit that fits', async (t) => {
  t.same([0, 1023, 1024, 1536, 1024 ** 3, 5000 * 1024 ** 4].map(bytesText), [
    ...['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '1.0 GiB', '5000.0 TiB'],
  ])
  t.same([0, 9.96, 59, 60, 3599, 3600, 172_799, 172_800].map(secondsText), [
    ...['0.0 s', '10.0 s', '59 s', '1 min', '59 min', '1 h', '47 h', '2 d'],
  ])
})
