import t from 'tap'
import fc from 'fast-check'
import { headersOf, parentOf } from '../../../src/telemetry/tracing/trace-parent.js'

const [traceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']

t.test('a traceparent names the caller’s span, and goes on in the same form', async (t) => {
  const parent = parentOf({ traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'a=1,b=2' })
  t.match(parent, { traceId, spanId, traceFlags: 1, isRemote: true })
  t.same(headersOf(parent!), { traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'a=1,b=2' })
  t.match(
    parentOf({ traceparent: `00-${traceId}-${spanId}-fe` }),
    { traceFlags: 0 },
    'other flags are not known',
  )
  t.match(parentOf({ traceparent: `cc-${traceId}-${spanId}-01-more` }), { traceId }, 'a later version')
})

t.test('what is no traceparent is ignored', async (t) => {
  const wrong = [
    undefined,
    '',
    `00-${traceId}-${spanId}-01-more`,
    `ff-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${traceId}-${spanId}-01\n`,
    ` 00-${traceId}-${spanId}-01`,
    [`00-${traceId}-${spanId}-01`],
  ]
  for (const traceparent of wrong) t.equal(parentOf({ traceparent }), undefined, JSON.stringify(traceparent))
  fc.assert(fc.property(fc.string(), (traceparent) => parentOf({ traceparent }) === undefined))
  fc.assert(
    fc.property(fc.string(), (tracestate) => {
      const parent = parentOf({ traceparent: `00-${traceId}-${spanId}-01`, tracestate })
      const { tracestate: state = '' } = headersOf(parent!)
      // What goes on must be fit for a header, and short.
      return state.length <= 512 && /^[\x20-\x7e]*$/.test(state)
    }),
  )
})
