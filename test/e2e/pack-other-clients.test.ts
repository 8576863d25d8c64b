import t from 'tap'
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inventory, makePackRepository } from '../support/pack-repository.js'
import { git, gitEnvironment } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const execute = promisify(execFile)

interface OtherClient {
  /** Succeeds if the machine has the client. */
  readonly probe: readonly string[]
  /** Clones from `$1` to `$2`. */
  readonly clone: readonly string[]
  /** Fetches one commit of the branch main from `$1` to `$2`, without its history. */
  readonly shallow?: readonly string[]
}

const isomorphic = (options: string): string[] => [
  'node',
  '-e',
  `const [url, dir] = process.argv.slice(1)
   require('isomorphic-git').clone({ fs: require('fs'), http: require('isomorphic-git/http/node'), url, dir, ${options} })`,
]
const dulwich = (options: string): string[] => [
  'python3',
  '-c',
  `import sys; from dulwich import porcelain; porcelain.clone(sys.argv[1], sys.argv[2], ${options})`,
]

/** Clients that are no Git of ours. Those that are not in package.json are where PYTHONPATH and PATH tell. */
const clients: Record<string, OtherClient> = {
  'isomorphic-git': {
    probe: ['node', '-e', `require('isomorphic-git')`],
    clone: isomorphic(''),
    shallow: isomorphic(`depth: 1, singleBranch: true, noTags: true`),
  },
  dulwich: {
    probe: ['python3', '-c', 'import dulwich.porcelain'],
    clone: dulwich('errstream=open("/dev/null", "wb")'),
    shallow: dulwich('depth=1, errstream=open("/dev/null", "wb")'),
  },
  'go-git': { probe: ['gogit', 'version'], clone: ['gogit', 'clone'] },
  JGit: { probe: ['jgit', 'version'], clone: ['jgit', 'clone'] },
}

const environment = {
  ...gitEnvironment,
  NODE_PATH: fileURLToPath(new URL('../../node_modules', import.meta.url)),
  PYTHONPATH: process.env['PYTHONPATH'],
}
const isHere = ([program = '', ...args]: readonly string[]): boolean =>
  spawnSync(program, args, { env: environment, stdio: 'ignore' }).status === 0

for (const [name, { probe, clone, shallow }] of Object.entries(clients)) {
  t.test(`${name} clones`, { skip: isHere(probe) ? false : `this machine has no ${name}` }, async (t) => {
    const root = tempDir(t)
    const repository = makePackRepository(root, 'r.git')
    const sidecar = await startSidecar(t, root)
    const work = tempDir(t)
    const run = async ([program = '', ...args]: readonly string[], path: string): Promise<string> => {
      const options = { cwd: work, env: { ...environment, HOME: work } }
      await execute(program, [...args, `${sidecar.url}/r.git`, join(work, path)], options)
      return join(work, path)
    }
    const objects = async (path: string): Promise<string> => (await inventory(path)).split('cat-file:')[1]!
    const direct = await objects(repository)
    const filled = (): Promise<number> => sidecar.metric('refstream_packs_total', { result: 'filled' })
    for (const path of ['first', 'second']) {
      const before = await filled()
      // Some of these clients fetch tags, others do not.
      const cloned = (await objects(await run(clone, path))).trim().split('\n')
      t.ok(
        cloned.every((line) => direct.includes(line)),
        `${path}: no object that is not there`,
      )
      t.equal(git(join(work, path), 'rev-parse', 'HEAD'), git(repository, 'rev-parse', 'main'))
      t.equal((await filled()) > before, path === 'first', 'the second one is a hit')
    }
    if (shallow) {
      const path = await run(shallow, 'shallow')
      t.equal(git(path, 'rev-list', '--count', 'HEAD'), '1')
      git(path, 'fsck', '--strict')
    }
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0)
  })
}
