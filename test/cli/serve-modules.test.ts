import t from 'tap'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Writes the URL of each module that a program loads to a file, a line each. */
const recorder = (file: string): string => {
  const hooks = `
    import { appendFileSync } from 'node:fs'
    export const load = (url, context, next) => (appendFileSync(${JSON.stringify(file)}, url + '\\n'), next(url, context))
  `
  const register = `
    import { register } from 'node:module'
    register(${JSON.stringify(dataUrl(hooks))})
  `
  return `--import=${dataUrl(register)}`
}

const dataUrl = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`

/** What only a fleet needs. */
const ofFleets =
  /dist\/(?:assembly\/workers|fleet\/(?:engines|fills|peers\/\w+)|freshness\/fleet)\/|@redis|^node:cluster$/

/** What only `npm run docs` needs. */
const ofScripts = /dist\/telemetry\/monitoring\//

void t.test('without settings of a fleet, nothing is loaded that only fleets need', async (t) => {
  const modules = async (args: readonly string[]): Promise<string[]> => {
    const file = join(tempDir(t), 'modules')
    const sidecar = await startSidecar(t, tempDir(t), { args, environment: { NODE_OPTIONS: recorder(file) } })
    await sidecar.stop()
    return readFileSync(file, 'utf8').trim().split('\n')
  }
  const alone = await modules([])
  t.ok(
    alone.some((url) => url.endsWith('dist/streamcache/cache.js')),
    'modules are recorded',
  )
  t.strictSame(
    alone.filter((url) => ofFleets.test(url)),
    [],
  )
  const primary = await modules(['--workers', '2'])
  t.strictSame(
    [...alone, ...primary].filter((url) => ofScripts.test(url)),
    [],
    'alerts and dashboards are loaded by scripts only',
  )
  t.ok(
    primary.some((url) => ofFleets.test(url)),
    'those of a fleet are known by their names',
  )
})
