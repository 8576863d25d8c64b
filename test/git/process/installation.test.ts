import t from 'tap'
import { placeOf } from '../../../src/git/filesystem/open-directory.js'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../../src/git/process/git.js'
import { findProgram, inspectInstallation, type Installation } from '../../../src/git/process/installation.js'
import { git, gitEnvironment } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const gitPath = findProgram('git', process.env['PATH'])!
const inspect = (environment: NodeJS.ProcessEnv = {}, path = gitPath): Promise<Installation> =>
  inspectInstallation(new Git({ path, environment: { ...gitEnvironment, ...environment } }))

t.test('programs are found as a shell finds them', async (t) => {
  const directory = tempDir(t)
  const [first, second] = [join(directory, 'first'), join(directory, 'second')]
  for (const place of [first, second]) mkdirSync(place)
  writeFileSync(join(first, 'prog'), '')
  writeFileSync(join(second, 'prog'), '', { mode: 0o755 })
  t.equal(
    findProgram('prog', `${first}:${second}`),
    join(second, 'prog'),
    'what may not be run is passed over',
  )
  t.equal(findProgram('none', `${first}:${second}`), undefined)
  t.equal(findProgram('prog', undefined), undefined)
  t.equal(findProgram(join(second, 'prog'), ''), join(second, 'prog'))
  t.equal(findProgram(join(first, 'prog'), second), undefined)
})

t.test('a directory is not a program', async (t) => {
  const directory = realpathSync(tempDir(t))
  mkdirSync(join(directory, 'prog'))
  t.equal(findProgram('prog', directory), undefined)
  t.equal(findProgram(join(directory, 'prog'), ''), undefined)
})

t.test('the Git on this machine', async (t) => {
  const { version, supported, programs } = await inspect()
  t.ok(git('/', '--version').includes(version), version)
  t.equal(supported, true)
  t.same(programs, [gitPath, join(git('/', '--exec-path'), 'git')].map(placeOf))
})

t.test('the files in which Git looks for configuration', async (t) => {
  const home = tempDir(t)
  const scopes = async (environment: NodeJS.ProcessEnv) => (await inspect(environment)).scopes
  const files = async (environment: NodeJS.ProcessEnv) => (await scopes(environment)).files.slice(1)
  t.same(await files({ HOME: home }), [join(home, '.config/git/config'), join(home, '.gitconfig')])
  t.same(await files({ HOME: home, XDG_CONFIG_HOME: '/xdg' }), ['/xdg/git/config', join(home, '.gitconfig')])
  t.same(await files({ HOME: home, XDG_CONFIG_HOME: '' }), await files({ HOME: home }))
  t.same(await files({ HOME: home, GIT_CONFIG_GLOBAL: '/global' }), ['/global'])
  t.same(await files({ HOME: undefined }), [])
  t.equal((await scopes({ HOME: home })).home, home)

  const system = join(home, 'system')
  writeFileSync(system, '')
  const [systemFile] = (await scopes({ GIT_CONFIG_NOSYSTEM: undefined, GIT_CONFIG_SYSTEM: system })).files
  t.equal(systemFile, system)

  const variables = {
    GIT_CONFIG_COUNT: '2',
    ...{ GIT_CONFIG_KEY_0: 'Http.https://X/.UploadPack', GIT_CONFIG_VALUE_0: 'false' },
    ...{ GIT_CONFIG_KEY_1: 'include.path', GIT_CONFIG_VALUE_1: '/x' },
  }
  t.same((await scopes(variables)).variables, [
    { name: 'http.uploadpack', value: 'false' },
    { name: 'include.path', value: '/x' },
  ])
})

t.test('the digest of the environment changes with variables that Git reads, and no others', async (t) => {
  const digest = async (environment: NodeJS.ProcessEnv): Promise<string> =>
    (await inspect(environment)).environmentDigest
  const plain = await digest({})
  t.equal(await digest({}), plain)
  t.equal(await digest({ LANG: 'de', REFSTREAM_X: '1', GIT_DIR: '/x', GIT_PROTOCOL: 'version=2' }), plain)
  for (const change of [{ GIT_NAMESPACE: 'a' }, { HOME: '/' }, { XDG_CONFIG_HOME: '/x' }]) {
    t.not(await digest(change), plain, JSON.stringify(change))
  }
})

t.test('a program that is not Git, or an old one, is reported and is not an error', async (t) => {
  const fake = (script: string): string => {
    const path = join(tempDir(t), 'git')
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return path
  }
  t.match(await inspect({}, fake('exit 1')), {
    supported: false,
    programs: { length: 1 },
    scopes: { files: ['/etc/gitconfig', '/nonexistent/.config/git/config', '/nonexistent/.gitconfig'] },
  })
  const saying = (words: string): Promise<Installation> =>
    inspect({}, fake(`case $1 in --version) echo '${words}';; *) exec git "$@";; esac`))
  t.match(await saying('git version 2.38.9'), { version: '2.38.9', supported: false })
  t.match(await saying('git version 2.39.5 (Apple Git-154)'), { version: '2.39.5', supported: true })
  t.match(await saying('git version 2.100.0.rc1.23.gabc'), {
    version: '2.100.0.rc1.23.gabc',
    supported: true,
  })
  t.match(await saying('git version 3.0.0'), { version: '3.0.0', supported: true })
  t.match(await saying('another program, version 3'), { version: 'unknown', supported: false })
})
