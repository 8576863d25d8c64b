import t from 'tap'
import { retryAfterMs } from '../../../../src/origin/upstream/client/retry-after.js'

t.test('Retry-After is seconds or a date; what is neither counts as absent', (t) => {
  const now = Date.parse('Sun, 06 Nov 1994 08:49:37 GMT')
  const cases: [string | undefined, number | undefined][] = [
    ['120', 120_000],
    [' 0 ', 0],
    ['Sun, 06 Nov 1994 08:50:37 GMT', 60_000],
    ['Sunday, 06-Nov-94 08:50:37 GMT', 60_000],
    ['Sun Nov  6 08:50:37 1994', 60_000],
    ['Sun, 06 Nov 1994 08:00:00 GMT', 0],
    [undefined, undefined],
    ['', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['Monday', undefined],
    ['1e9', undefined],
  ]
  for (const [value, expected] of cases) t.equal(retryAfterMs(value, now), expected, value ?? 'none')
  t.end()
})
