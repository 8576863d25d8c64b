import t from 'tap'
import fc from 'fast-check'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { observeConfig, type ConfigScopes, type ObservedConfig } from '../../../src/git/state/config-files.js'
import { StatSnapshot } from '../../../src/git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { openRepository } from '../../../src/git/state/open-repository.js'
import { git, gitEnvironment, gitWith, initBare } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const nowhere: ConfigScopes = { files: [], home: undefined, variables: [] }

/** A repository, files around it, and what an observation of its configuration finds. */
function setUp(t: Parameters<typeof tempDir>[0]) {
  const directory = tempDir(t)
  const gitDir = initBare(directory, 'x.git')
  const memory = new SnapshotMemory()
  const file = (name: string, content: string | Buffer): string => {
    const path = join(directory, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, content)
    return path
  }
  const see = (scopes: Partial<ConfigScopes> = {}): ObservedConfig & { readonly digest: string } => {
    const snapshot = new StatSnapshot(memory)
    const opened = openRepository(snapshot, new RepositoriesRoot(gitDir), '')!
    const observed = observeConfig(snapshot, opened, { ...nowhere, ...scopes })
    opened.close()
    return { ...observed, digest: snapshot.digest() }
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

t.test('conditional includes are observed whether their condition holds or not', async (t) => {
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

t.test('an included file that does not exist yet is observed', async (t) => {
  const { directory, file, see, watches, include } = setUp(t)
  include('../later')
  t.ok(watches(join(directory, 'later')))
  file('later', '[include]\npath = deeper/last\n')
  const last = file('deeper/last', '[seen]\nhere = 1\n')
  t.ok(see().mentioned?.has('seen.here'), 'includes of includes, relative to the file that names them')
  t.ok(watches(last))
})

t.test('circular includes end', async (t) => {
  const { file, see, include } = setUp(t)
  include('../a')
  file('a', '[include]\npath = b\npath = a\n[in]\na\n')
  file('b', '[include]\npath = x.git/config\npath = a\n[in]\nb\n')
  t.same([...(see().mentioned ?? [])].sort(), ['core.bare', 'in.a', 'in.b', 'include.path'])
})

t.test('an include that only Git can follow makes the observation incomplete', async (t) => {
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

t.test('a file that Git would refuse may mention any variable', async (t) => {
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

t.test(
  'a file that is included from too deep is observed if it is included from less deep too',
  async (t) => {
    const { gitDir, file, see, watches } = setUp(t)
    const chain = (condition: string): void => {
      file(
        'x.git/config',
        `[core]\nbare = true\n[${condition}]\npath = ../chain-1\n[include]\npath = ../end\n`,
      )
      for (let depth = 1; depth < 10; depth++) {
        file(`chain-${depth}`, `[include]\npath = ${depth === 9 ? 'end' : `chain-${depth + 1}`}\n`)
      }
    }
    const beyond = file('beyond', '[transfer]\nhideRefs = refs/hidden\n')
    file('end', '[include]\npath = beyond\n')
    chain('includeIf "gitdir:/nowhere/"')
    t.equal(git(gitDir, 'config', 'transfer.hideRefs'), 'refs/hidden', 'Git reads it')
    t.ok(see().mentioned?.has('transfer.hiderefs'))
    t.ok(watches(beyond))
    t.equal(see().hidden, false, 'all that Git may read has been seen')
    file('x.git/config', '[includeIf "gitdir:/nowhere/"]\npath = ../chain-1\n')
    t.equal(see().hidden, true, 'only from too deep: the state has no name')
  },
)

t.test(
  'every file that Git reads is observed, or the state is never settled',
  { timeout: 120_000 },
  async (t) => {
    const files = 9
    const includes = fc.array(
      fc.record({
        target: fc.nat({ max: files - 1 }),
        condition: fc.constantFrom('', '', 'yes', 'no', 'no'),
      }),
      { maxLength: 3 },
    )
    const graph = fc.array(includes, { minLength: files, maxLength: files })
    const { gitDir, file, see, watches } = setUp(t)
    const header = {
      '': 'include',
      yes: `includeIf "gitdir:${realpathSync(gitDir)}"`,
      no: 'includeIf "gitdir:/no/"',
    }
    let [checked, refused] = [0, 0]
    fc.assert(
      fc.property(graph, (edges) => {
        const text = (index: number): string =>
          (edges[index] ?? [])
            .map(({ target, condition }) => `[${header[condition]}]\npath = f${target}\n`)
            .join('')
        for (let index = 0; index < files; index++) file(`f${index}`, `${text(index)}[seen]\nf${index} = 1\n`)
        file('x.git/config', '[core]\nbare = true\n[include]\npath = ../f0\n')
        const { status, stdout } = spawnSync('git', ['config', '--name-only', '--list'], {
          cwd: gitDir,
          env: gitEnvironment,
        })
        const { mentioned, hidden } = see()
        // Too deep for Git: it refuses to read any configuration.
        if (status !== 0) {
          refused++
          return
        }
        for (const name of new Set(stdout.toString().match(/seen\.f\d/g))) {
          checked++
          if (
            hidden ||
            (mentioned?.has(name) &&
              watches(file(`f${name.slice(-1)}`, readFileSync(join(gitDir, '..', `f${name.slice(-1)}`)))))
          )
            continue
          throw new Error(`Git reads ${name}`)
        }
      }),
      { numRuns: 60 },
    )
    t.ok(checked > 30, `${checked} files, and ${refused} graphs that Git refused`)
  },
)

t.test('an observation ends after a thousand files, and is incomplete', async (t) => {
  const { file, see } = setUp(t)
  const many = Array.from({ length: 5000 }, (_, index) => `[include]\npath = /nowhere/${index}\n`)
  file('x.git/config', many.join(''))
  t.equal(see().hidden, true)
  file('x.git/config', many.slice(0, 900).join(''))
  t.equal(see().hidden, false)
})
