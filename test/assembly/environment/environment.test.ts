import t from 'tap'
import { realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { findHostEnvironment } from '../../../src/assembly/environment/environment.js'
import { ConfigError } from '../../../src/config/values/config-error.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { tempDir } from '../../support/temp-dir.js'

const settings = (flags: Record<string, unknown>) => resolveSettings(readFlags(flags))

t.test('the root, the storages and the Git program are found', async (t) => {
  const real = realpathSync(tempDir(t))
  const link = join(tempDir(t), 'link')
  symlinkSync(real, link)
  const host = await findHostEnvironment(settings({ root: link }), process.env)
  t.teardown(() => host.helpers.close())
  t.equal(host.root?.path, link)
  t.equal(host.root?.latest, real)
  t.same([...host.storages], [['default', '']])
  t.match(host.program, /^\/.*\/git$/)
})

t.test('all mistakes are reported at once; storages are not looked for without a root', async (t) => {
  const bad = settings({ root: '/nonexistent', git: 'no-such-git', gitalyStorages: 'a=..' })
  const error = await findHostEnvironment(bad, process.env).catch((error: unknown) => error)
  t.match((error as ConfigError).mistakes, [
    '--root: "/nonexistent" is not a directory; give one that holds repositories',
    "--git: there is no program no-such-git; give the path of Git's binary",
  ])
  t.equal((error as ConfigError).mistakes.length, 2)
})
