import t from 'tap'
import { execFileSync } from 'node:child_process'
import { inheritedEnvironment, trusting } from '../../../src/git/process/environment.js'
import { git, gitEnvironment, initBare } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('variables that point Git at one repository are not inherited', async (t) => {
  // Git lists what it unsets before it enters another repository; some of it does not concern us.
  const kept = new Set(['GIT_CONFIG_COUNT', 'GIT_INTERNAL_SUPER_PREFIX'])
  const names = git('/', 'rev-parse', '--local-env-vars')
    .split('\n')
    .filter((name) => !kept.has(name))
  t.ok(names.length > 10)
  t.same(inheritedEnvironment(Object.fromEntries(names.map((name) => [name, 'x']))), {})
})

t.test('variables that describe a client’s request are not inherited', async (t) => {
  const cgi = ['GIT_PROTOCOL', 'GIT_PROJECT_ROOT', 'GIT_HTTP_EXPORT_ALL', 'REQUEST_METHOD', 'QUERY_STRING']
  const client = [
    'PATH_INFO',
    'PATH_TRANSLATED',
    'CONTENT_TYPE',
    'CONTENT_LENGTH',
    'REMOTE_USER',
    'REMOTE_ADDR',
  ]
  const headers = ['HTTP_GIT_PROTOCOL', 'HTTP_CONTENT_ENCODING', 'HTTP_ANYTHING']
  const all = [...cgi, ...client, ...headers]
  t.same(inheritedEnvironment(Object.fromEntries(all.map((name) => [name, 'x']))), {})
})

t.test('variables that the operator sets for Git are inherited', async (t) => {
  const operator = {
    PATH: '/bin',
    HOME: '/srv',
    GIT_NAMESPACE: 'a',
    GIT_TRACE2_EVENT: '1',
    GIT_CONFIG_GLOBAL: '/x',
  }
  t.same(inheritedEnvironment(operator), operator)
})

t.test(
  'safe.directory is added to the configuration in the environment and replaces none of it',
  async (t) => {
    const path = initBare(tempDir(t), 'x.git')
    const before = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'a.b', GIT_CONFIG_VALUE_0: 'c' }
    const env = trusting({ ...gitEnvironment, ...before }, path)
    const read = (name: string): string =>
      execFileSync('git', ['config', '--get-all', name], { cwd: path, env }).toString().trim()
    t.equal(read('safe.directory'), `${path}\n.`)
    t.equal(read('a.b'), 'c')
    t.equal(trusting({}, path)['GIT_CONFIG_COUNT'], '2')
  },
)

t.test('a repository of another user is trusted, and only that one', { skip: notRoot() }, async (t) => {
  const root = tempDir(t)
  const [mine, other] = [initBare(root, 'mine.git'), initBare(root, 'other.git')]
  execFileSync('chown', ['-R', '65534', root])
  const advertise = (path: string): string =>
    execFileSync('git', ['upload-pack', '--advertise-refs', path], {
      cwd: '/',
      stdio: 'pipe',
      env: trusting(gitEnvironment, mine),
    }).toString()
  t.equal(advertise(mine), '0000')
  t.throws(() => advertise(other), /dubious ownership/)
})

/** Only root can change the owner of files. */
function notRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'needs root'
}
