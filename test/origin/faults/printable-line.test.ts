import t from 'tap'
import { printableLine } from '../../../src/origin/faults/printable-line.js'

t.test('of a text from elsewhere, the first line with anything to show is quoted', (t) => {
  t.equal(printableLine(''), '')
  t.equal(printableLine('\r\n \u0007\n  down for\u001b[31m repair \nsecret'), 'down for[31m repair')
  t.equal(printableLine('\u202eevil\u0000'), 'evil')
  t.end()
})

t.test('at most 200 characters are quoted, and none in half', (t) => {
  t.equal(printableLine('x'.repeat(1000)), 'x'.repeat(200))
  t.equal(printableLine(`${'x'.repeat(199)}😀😀`), `${'x'.repeat(199)}😀`)
  t.end()
})
