import t from 'tap'
import fc from 'fast-check'
import { mkdirSync, realpathSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PathGuard } from '../../../src/git/filesystem/path-guard.js'
import { tempDir } from '../../support/temp-dir.js'

const mountAt = (point: string) => ({ id: '2', parent: '1', point, type: 'nfs4' })

function touches(guard: PathGuard, path: string): boolean {
  try {
    guard.check(path)
    return false
  } catch (error) {
    if ((error as Error).name === 'RemotePath') return true
    throw error
  }
}

t.test('every component that a path accesses is checked, links and dots followed', async (t) => {
  const root = realpathSync(tempDir(t))
  mkdirSync(join(root, 'mnt/inside'), { recursive: true })
  mkdirSync(join(root, 'local/deep'), { recursive: true })
  const link = (name: string, target: string) => symlinkSync(target, join(root, name))
  link('to', 'mnt')
  link('chain', 'to/inside')
  link('absolute', join(root, 'mnt/inside'))
  link('through', 'mnt/../local')
  link('local/up', '../mnt')
  link('loop', 'loop')
  link('away', 'local/deep')
  const guard = new PathGuard([mountAt(join(root, 'mnt'))])
  const all = {
    ...{ mnt: true, 'mnt/inside': true, 'mnt/none': true, mntx: false, local: false, 'local/none': false },
    ...{ to: true, chain: true, 'chain/x': true, absolute: true, through: true, 'local/up': true },
    ...{ 'local/deep/../up': true, 'local/../mnt': true, loop: false, away: false, 'away/../up': true },
    ...{ 'none/../mnt': false, './/mnt': true },
  }
  for (const [path, expected] of Object.entries(all))
    t.equal(touches(guard, join(root, '.') + '/' + path), expected, path)
  t.throws(() => guard.checkBelow(root), { name: 'RemotePath' })
  guard.checkBelow(join(root, 'local'))
  guard.checkBelow(join(root, 'mn'))

  const once = join(root, 'away')
  guard.checkOnce(once)
  rmSync(once)
  symlinkSync('mnt', once)
  guard.checkOnce(once)
  t.ok(touches(guard, once), 'the end of a path is checked each time')
})

/** Paths of three random components. */
const names = ['a', 'b', 'mnt', '..', '.']
const path = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
const links = fc.dictionary(
  fc.constantFrom('a', 'b', 'a/b', 'b/a', 'mnt/a', 'b/b'),
  fc.tuple(fc.boolean(), path),
)

t.test(
  'for random paths and links, the guard stops exactly those that the kernel would follow to the mount',
  async (t) => {
    const base = realpathSync(tempDir(t))
    let run = 0
    fc.assert(
      fc.property(links, path, (links, asked) => {
        const root = join(base, `${++run}`)
        // `..` beyond the top must not lead to the files of other runs.
        const top = join(root, 'x/x/x/x')
        mkdirSync(join(top, 'mnt/b'), { recursive: true })
        for (const [name, [absolute, target]] of Object.entries(links)) {
          try {
            mkdirSync(dirname(join(top, name)), { recursive: true })
            symlinkSync(absolute ? `${top}/${target}` : target, join(top, name))
          } catch {
            // Its place is taken.
          }
        }
        const path = `${top}/${asked}`
        const stop = touches(new PathGuard([mountAt(join(top, 'mnt'))]), path)
        const inode = () => {
          try {
            return statSync(path).ino
          } catch {
            return undefined
          }
        }
        const before = inode()
        renameSync(join(top, 'mnt'), join(root, 'gone'))
        const after = inode()
        rmSync(root, { recursive: true })
        // A path through the mount leads nowhere without it.
        return before === undefined ? true : stop === (after === undefined)
      }),
      { numRuns: 1000 },
    )
  },
)
