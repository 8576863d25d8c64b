import t from 'tap'
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lookAtConfig, type ConfigScopes, type ConfigSight } from '../../src/git/config-files.js'
import { createLookMemory, Look } from '../../src/git/look.js'
import { RepositoriesRoot } from '../../src/git/repositories-root.js'
import { enterRepo } from '../../src/git/repository.js'
import { gitWith, initBare } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

const nowhere: ConfigScopes = { files: [], home: undefined, variables: [] }

/** A repository, files around it, and what a look at its configuration sees. */
function setUp(t: Parameters<typeof tempDir>[0]) {
  const directory = tempDir(t)
  const gitDir = initBare(directory, 'x.git')
  const memory = createLookMemory()
  const file = (name: string, content: string | Buffer): string => {
    const path = join(directory, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, content)
    return path
  }
  const see = (scopes: Partial<ConfigScopes> = {}): ConfigSight & { readonly digest: string } => {
    const look = new Look(memory)
    const opened = enterRepo(look, new RepositoriesRoot(gitDir), '')!
    const sight = lookAtConfig(look, opened, { ...nowhere, ...scopes })
    opened.close()
    return { ...sight, digest: look.digest() }
  }
  /** Does the digest move when the file changes? */
  const watches = (path: string, scopes: Partial<ConfigScopes> = {}): boolean => {
    const before = see(scopes).digest
    appendFileSync(path, '# changed\n')
    return see(scopes).digest !== before
  }
  const include = (value: string): void => {
    file('x.git/config', `[core]\nbare = true\n[include]\npath = ${value}\n`)
  }
  return { directory, gitDir, file, see, watches, include }
}

t.test('variables are found in every file that Git reads, by name alone', async (t) => {
  const { directory, file, see, watches } = setUp(t)
  const system = file('system', '[Uploadpack]\nHideRefs = refs/a\n')
  const user = file('user', '[http "https://example.com/A"]\nUploadPack\n')
  const worktree = file('x.git/config.worktree', '[transfer]\nadvertiseSID = true\n')
  const scopes = {
    files: [system, user, join(directory, 'absent')],
    variables: [{ name: 'a.b', value: '1' }],
  }
  const { mentioned, hidden } = see(scopes)
  for (const name of [
    'core.bare',
    'uploadpack.hiderefs',
    'http.uploadpack',
    'transfer.advertisesid',
    'a.b',
  ]) {
    t.ok(mentioned?.has(name), name)
  }
  t.equal(hidden, false)
  for (const path of [system, user, worktree, join(directory, 'x.git/config')]) {
    t.ok(watches(path, scopes), path)
  }
  t.ok(watches(join(directory, 'absent'), scopes), 'a file that comes to be')
})

t.test('includes are followed as Git follows them', async (t) => {
  const { directory, gitDir, file, see, watches, include } = setUp(t)
  mkdirSync(join(directory, 'far/home'), { recursive: true })
  symlinkSync('far/home', join(directory, 'home'))
  const cases: [value: string, path: string][] = [
    [join(directory, 'absolute'), 'absolute'],
    ['../relative', 'relative'],
    ['"../with blank"', 'with blank'],
    ['~/mine', 'far/home/mine'],
    // The parent of a link's target is not the directory that holds the link.
    ['~/../beside', 'far/beside'],
    ['../home/../beside', 'far/beside'],
  ]
  const home = join(directory, 'home')
  for (const [value, name] of cases) {
    const path = file(name, '[seen]\nhere = 1\n')
    include(value)
    const answer = gitWith(
      { cwd: gitDir, environment: { HOME: home } },
      ...['config', '--includes', '--get', 'seen.here'],
    )
    t.equal(answer, '1', `Git includes ${value}`)
    t.ok(see({ home }).mentioned?.has('seen.here'), value)
    t.ok(watches(path, { home }), value)
    rmSync(path)
  }
})

t.test('conditional includes are watched whether their condition holds or not', async (t) => {
  const { directory, file, see, watches } = setUp(t)
  const path = file('conditional', '[seen]\nhere = 1\n')
  for (const condition of ['gitdir:/elsewhere/', 'onbranch:main', 'hasconfig:remote.*.url:https://x/**']) {
    file('x.git/config', `[includeIf "${condition}"]\npath = ${path}\n`)
    t.ok(see().mentioned?.has('seen.here'), condition)
    t.ok(watches(path), condition)
  }
  const variables = [{ name: 'include.path', value: join(directory, 'conditional') }]
  file('x.git/config', '')
  t.ok(watches(path, { variables }), 'an include in the environment')
})

t.test('an included file that does not exist yet is watched', async (t) => {
  const { directory, file, see, watches, include } = setUp(t)
  include('../later')
  t.ok(watches(join(directory, 'later')))
  file('later', '[include]\npath = deeper/last\n')
  const last = file('deeper/last', '[seen]\nhere = 1\n')
  t.ok(see().mentioned?.has('seen.here'), 'includes of includes, relative to the file that names them')
  t.ok(watches(last))
})

t.test('includes that run in circles end', async (t) => {
  const { file, see, include } = setUp(t)
  include('../a')
  file('a', '[include]\npath = b\npath = a\n[in]\na\n')
  file('b', '[include]\npath = x.git/config\npath = a\n[in]\nb\n')
  t.same([...(see().mentioned ?? [])].sort(), ['core.bare', 'in.a', 'in.b', 'include.path'])
})

t.test('what only Git can follow makes the sight hidden', async (t) => {
  const { file, see, include } = setUp(t)
  for (const value of ['~somebody/config', '%(prefix)/etc/x', '"a\\tb"', 'a\0b']) {
    include(value)
    t.equal(see({ home: '/nonexistent' }).hidden, true, value)
  }
  include('~/config')
  t.equal(see().hidden, true, 'no home is known')
  t.equal(see({ home: '/nonexistent' }).hidden, false)
  file('x.git/config', Buffer.from('[include]\npath = caf\xe9\n', 'latin1'))
  t.equal(see().hidden, true, 'a name that is not UTF-8')
  file('x.git/config', '')
  t.equal(see({ variables: [{ name: 'include.path', value: 'relative' }] }).hidden, true)
})

t.test('a file that Git would refuse may mention anything', async (t) => {
  const { gitDir, file, see, include } = setUp(t)
  file('x.git/config', '[core\n')
  t.equal(see().mentioned, undefined)
  include('../broken')
  file('broken', 'x "y\n')
  t.equal(see().mentioned, undefined)
  include('..')
  t.ok(see().mentioned?.has('core.bare'), 'a directory is no file')
  include(`${gitDir}/HEAD/none`)
  t.ok(see().mentioned, 'a path that leads through a file')
})
