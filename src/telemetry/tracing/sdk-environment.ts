/** The samplers that the SDK knows (OTEL_TRACES_SAMPLER). */
const samplers = [
  ...['always_on', 'always_off', 'traceidratio'],
  ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
]

/**
 * Returns what is wrong with the variables of OpenTelemetry, for which the SDK itself would use a default without a word.
 * @param environment of this process, which the SDK reads
 */
export function* sdkMistakes(environment: NodeJS.ProcessEnv): Generator<string> {
  const { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument } = environment
  if (sampler && !samplers.includes(sampler))
    yield `OTEL_TRACES_SAMPLER: ${JSON.stringify(sampler)} is not one of ${samplers.join(', ')}`
  if (sampler?.endsWith('ratio') && !isRatio(argument))
    yield `OTEL_TRACES_SAMPLER_ARG: ${sampler} needs a number from 0 to 1`
  const protocol =
    environment['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || environment['OTEL_EXPORTER_OTLP_PROTOCOL']
  if (protocol && protocol !== 'http/protobuf')
    yield (
      `OTEL_EXPORTER_OTLP_PROTOCOL: refstream sends http/protobuf, not ${JSON.stringify(protocol)}; set ` +
      'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf, and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to fit'
    )
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']) {
    const url = environment[name]
    // Its value may hold a password.
    if (url && !isHttpUrl(url)) yield `${name}: not an http: or https: URL`
  }
}

const isRatio = (text = ''): boolean => text.trim() !== '' && Number(text) >= 0 && Number(text) <= 1

const isHttpUrl = (text: string): boolean => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'http:' || url?.protocol === 'https:'
}
