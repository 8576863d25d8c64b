import t from 'tap'
import { checkTraces, openTraces } from '../../src/assembly/traces.js'
import { Closers } from '../../src/assembly/closers.js'
import type { Settings } from '../../src/config/options/options.js'
import { createLog } from '../../src/telemetry/log.js'

const settings = (traces: Settings['traces']): Settings => ({ traces }) as Settings
const log = createLog('silent')

t.test('traces are opened only where they are wanted', async (t) => {
  const closers = new Closers()
  t.equal(await openTraces(settings('off'), undefined, closers, log), undefined)
  t.ok(await openTraces(settings('otlp'), undefined, closers, log))
  await closers.close()
  process.env['OTEL_SDK_DISABLED'] = 'TRUE'
  t.teardown(() => delete process.env['OTEL_SDK_DISABLED'])
  t.equal(
    await openTraces(settings('otlp'), undefined, closers, log),
    undefined,
    'OpenTelemetry’s own switch',
  )
})

t.test('mistakes in the environment are told together', async (t) => {
  process.env['OTEL_TRACES_SAMPLER'] = 'sometimes'
  process.env['OTEL_EXPORTER_OTLP_PROTOCOL'] = 'grpc'
  t.teardown(() => {
    delete process.env['OTEL_TRACES_SAMPLER']
    delete process.env['OTEL_EXPORTER_OTLP_PROTOCOL']
  })
  await checkTraces(settings('off'))
  await t.rejects(checkTraces(settings('otlp')), {
    name: 'ConfigError',
    mistakes: [/^--traces: OTEL_TRACES_SAMPLER/, /^--traces: OTEL_EXPORTER_OTLP_PROTOCOL/],
  })
})
