/** OpenTelemetry's SDK: optional peer dependencies, which only traces need. */
export interface SdkPackages {
  readonly trace: typeof import('@opentelemetry/sdk-trace-base')
  readonly resources: typeof import('@opentelemetry/resources')
  readonly exporter: typeof import('@opentelemetry/exporter-trace-otlp-proto')
}

/** A package of the SDK is not installed. */
export class SdkMissing extends Error {
  override readonly name = 'SdkMissing'
  constructor(options?: ErrorOptions) {
    super(
      'traces need the SDK of OpenTelemetry, which is not installed: run `npm install @opentelemetry/sdk-trace-base@2 ' +
        '@opentelemetry/resources@2 "@opentelemetry/exporter-trace-otlp-proto@<0.300.0"` where refstream is installed',
      options,
    )
  }
}

/** Loads the SDK. @throws SdkMissing */
export async function loadSdk(load: () => Promise<SdkPackages> = loadPackages): Promise<SdkPackages> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND')
      throw new SdkMissing({ cause: error })
    throw error
  }
}

async function loadPackages(): Promise<SdkPackages> {
  const [trace, resources, exporter] = await Promise.all([
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-proto'),
  ])
  return { trace, resources, exporter }
}
