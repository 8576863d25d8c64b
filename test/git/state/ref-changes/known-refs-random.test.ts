import t from 'tap'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeChangesRig } from '../../../support/changes-rig.js'
import { Random } from '../../../support/random.js'
import { git, gitWith, makeCommit, makeRepository } from '../../../support/repositories.js'

const names = ['main', 'd/g', 'a', 'a/b', 'ab', 'd/e', 'd/e/f', 'old', 's1', 's2', 's3'].map(
  (name) => `refs/heads/${name}`,
)

t.test('no change is missed over random commands', async (t) => {
  const rig = makeChangesRig(t)
  let told = 0
  for (const seed of [1, 2, 3]) {
    const random = new Random(seed)
    const path = makeRepository(rig.root, `${seed}.git`)
    const commits = ['one', 'two', 'three'].map((message) => makeCommit(path, message))
    const run = (...args: string[]): string => git(path, ...args)
    // A chain, and one that leads nowhere.
    run('symbolic-ref', 'refs/heads/s1', 'refs/heads/main')
    run('symbolic-ref', 'refs/heads/s2', 'refs/heads/s1')
    run('symbolic-ref', 'refs/heads/s3', 'refs/heads/d/g')
    const commands: readonly (() => unknown)[] = [
      ...Array.from({ length: 5 }, () => () => run('update-ref', random.pick(names), random.pick(commits))),
      () => run('update-ref', '--no-deref', '-d', random.pick(names)),
      () => run('update-ref', '-d', random.pick(names)),
      () => run('symbolic-ref', random.pick(names.slice(-3)), random.pick(names)),
      () => run('pack-refs', '--all'),
      () =>
        run('tag', '-f', '-a', '-m', String(random.below(100)), `t${random.below(3)}`, random.pick(commits)),
      () => writeFileSync(join(path, 'refs/heads/old'), `${random.pick(commits)}\n`),
      () => existsSync(join(path, 'refs/heads/a')) && rmSync(join(path, 'refs/heads/a'), { recursive: true }),
      () => {
        const lines = [random.pick(names), random.pick(names)].map(
          (name) => `update ${name} ${random.pick(commits)}\n`,
        )
        gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
      },
    ]
    for (let step = 0; step < 16; step++) {
      const done: string[] = []
      const seen = await rig.see(String(seed), () => {
        for (let count = 1 + random.below(3); count > 0; count--) {
          const index = random.below(commands.length)
          done.push(String(index))
          try {
            commands[index]!()
          } catch {
            // Some commands fail in some states; a half-done one is as good a test.
          }
        }
      })
      if (seen.missed.length > 0) t.fail(`seed ${seed}, step ${step}: ${done.join()}`, seen)
      if (!('full' in seen.candidates)) told++
    }
  }
  t.ok(told > 38, `${told} of 48 were told`)
})
