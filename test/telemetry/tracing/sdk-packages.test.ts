import t from 'tap'
import { loadSdk, SdkMissing } from '../../../src/telemetry/tracing/sdk-packages.js'

t.test('the SDK is loaded, or what to install is said', async (t) => {
  const { trace } = await loadSdk()
  t.type(trace.BatchSpanProcessor, 'function')
  const missing = Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' })
  const error = await loadSdk(() => Promise.reject(missing)).catch((error: unknown) => error)
  t.type(error, SdkMissing)
  t.match((error as Error).message, /npm install @opentelemetry\/sdk-trace-base@2 /)
  const broken = new Error('syntax')
  await t.rejects(
    loadSdk(() => Promise.reject(broken)),
    broken,
  )
})
