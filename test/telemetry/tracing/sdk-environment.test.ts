import t from 'tap'
import { sdkMistakes } from '../../../src/telemetry/tracing/sdk-environment.js'

const mistakes = (environment: NodeJS.ProcessEnv): string[] => [...sdkMistakes(environment)]

t.test('what the SDK would ignore without a word is a mistake', async (t) => {
  t.same(mistakes({}), [])
  t.same(
    mistakes({
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.com:4318',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf',
    }),
    [],
  )
  t.match(mistakes({ OTEL_TRACES_SAMPLER: 'sometimes' }), [
    /OTEL_TRACES_SAMPLER: "sometimes" is not one of always_on,/,
  ])
  for (const argument of [undefined, '', 'half', '2', '-1'])
    t.match(mistakes({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: argument }), [
      /OTEL_TRACES_SAMPLER_ARG: traceidratio needs a number from 0 to 1/,
    ])
  t.match(mistakes({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), [/refstream sends http\/protobuf, not "grpc"/])
  const said = mistakes({ OTEL_EXPORTER_OTLP_ENDPOINT: 'user:S3CRET@collector' })
  t.match(said, [/^OTEL_EXPORTER_OTLP_ENDPOINT: not an http: or https: URL$/])
})
