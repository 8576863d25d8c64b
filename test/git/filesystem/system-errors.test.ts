import t from 'tap'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { isAbsent, isSystemError, throwIfTransient } from '../../../src/git/filesystem/system-errors.js'
import { git, makeRepository } from '../../support/repositories.js'
import { program } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

const systemError = (code: string): Error => Object.assign(new Error(code), { code, errno: -1 })

t.test('an error of a path counts as absence; an error of the process or machine is thrown', (t) => {
  for (const code of ['ENOENT', 'EACCES', 'ELOOP']) {
    t.ok(isAbsent(systemError(code)))
    t.doesNotThrow(() => throwIfTransient(systemError(code)), code)
  }
  for (const code of ['EMFILE', 'ENFILE', 'EIO', 'ENOMEM', 'ESTALE']) {
    t.ok(isSystemError(systemError(code)))
    t.throws(() => throwIfTransient(systemError(code)), { code })
  }
  for (const other of [new Error('bad config'), Object.assign(new Error(), { code: 'ERR_X' }), undefined]) {
    t.notOk(isSystemError(other))
    t.doesNotThrow(() => throwIfTransient(other))
  }
  t.end()
})

/** Observes a repository while there are descriptors, while there are none to three, and again. */
const script = `
const [root, top, limit] = process.argv.slice(1)
const load = (path) => import(top + '/' + path)
const { Disk } = await load('origin/disk/observation/disk.js')
const { Modes } = await load('origin/disk/observation/modes.js')
const { RepositoriesRoot } = await load('git/state/repositories-root.js')
const fs = await import('node:fs')
const { execFileSync } = await import('node:child_process')
const scopes = { files: [], home: undefined, variables: [] }
const disk = new Disk({ root: new RepositoriesRoot(root), directoriesMax: 1000, looseRefsMax: 0, linksAnywhere: true })
const modes = new Modes({ rules: [] })
const observe = async () => {
  try {
    const { observed } = await disk.observe('r.git', { scopes, programs: [], environmentDigest: '' }, modes)
    return observed ? { token: observed.refs.token, mentions: observed.state.config.mentioned?.size } : 'missing'
  } catch (error) { return error.code }
}
const git = (...args) => execFileSync('git', ['-C', root + '/r.git', ...args])
const settle = () => new Promise((resolve) => setTimeout(resolve, 60))
await settle()
const first = await observe()
const results = []
for (const spare of [0, 1, 2, 3]) {
  git('update-ref', 'refs/heads/g/' + spare, 'main')
  git('config', 'test.key' + spare, 'x')
  await settle()
  const open = []
  try { for (;;) open.push(fs.openSync('/dev/null')) } catch {}
  for (let each = 0; each < spare; each++) fs.closeSync(open.pop())
  const starved = await observe()
  for (const fd of open) fs.closeSync(fd)
  const after = await observe()
  git('update-ref', 'refs/heads/g/later' + spare, 'main')
  await settle()
  const later = await observe()
  results.push([typeof starved === 'string' ? starved : starved.token === after.token && starved.mentions === after.mentions, later.token !== after.token])
}
console.log(JSON.stringify([typeof first, results]))
`

t.test('an observation without file descriptors fails, and nothing wrong is remembered', async (t) => {
  const root = tempDir(t)
  const path = makeRepository(root, 'r.git')
  git(path, 'update-ref', 'refs/heads/g/x', 'main')
  const node = `ulimit -n 60; exec "$0" --input-type=module -e "$1" "$2" "$3"`
  const args = ['-c', node, process.execPath, script, root, join(dirname(program), '..')]
  const { stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8' })
  t.equal(stderr, '')
  const [first, results] = JSON.parse(stdout) as [string, [starved: string | boolean, noticesMore: boolean][]]
  t.equal(first, 'object')
  for (const [starved, noticesMore] of results) {
    t.ok(starved === 'EMFILE' || starved === true, String(starved))
    t.ok(noticesMore, 'later changes are noticed')
  }
  t.ok(results.some(([starved]) => starved === 'EMFILE'))
})
