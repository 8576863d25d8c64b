import t from 'tap'
import type { Observation, Observer } from '../../../src/origin/disk/observation/observer.js'
import { identityOf, type Repository } from '../../../src/git/state/repository.js'
import { RepositoryExchanged } from '../../../src/git/state/reopen-repository.js'
import { untilUnexchanged, type Target } from '../../../src/origin/target.js'
import { locate, observeTarget } from '../../../src/origin/disk/observe-target.js'
import { FillError } from '../../../src/streamcache/index.js'

const repository: Repository = {
  ...{ gitDir: '/root/r/.git', commonDir: '/root/r/.git', gitName: 'r/.git', commonName: 'r/.git' },
  ...{ linkedNames: ['link.git'], gitIdentity: '1', commonIdentity: '1' },
}
const observation = { repository } as Observation
const observer = {
  observe: async (path: string) => (path === 'r' ? observation : undefined),
  find: (path: string) =>
    path === 'r' ? repository : path === 'slow' ? Promise.resolve(repository) : undefined,
} as unknown as Observer

t.test('a target is observed if it is the repository that access was checked for', async (t) => {
  const observe = (target: Target): Promise<unknown> => observeTarget(observer, target)
  t.equal(await observe({ path: 'r' }), observation)
  t.equal(await observe({ path: 'r', identity: identityOf(repository) }), observation)
  await t.rejects(observe({ path: 'r', identity: 'another' }), { name: 'RepositoryExchanged' })
  await t.rejects(observe({ path: 'r', identity: '' }), { name: 'RepositoryExchanged' })
  await t.rejects(observe({ path: 'x' }), { name: 'RepositoryNotFound', message: 'x' })
})

t.test(
  'a repository is located by its own name and those of its links, without its Git directory',
  async (t) => {
    const located = { names: ['r', 'link.git'], identity: identityOf(repository) }
    t.same(locate(observer, 'r'), located)
    t.same(await locate(observer, 'slow'), located)
    t.equal(locate(observer, 'x'), undefined)
  },
)

t.test('a request begins anew while its repository is exchanged, at most four times', async (t) => {
  for (const error of [
    new RepositoryExchanged(),
    new FillError('producer', 'x', { cause: new RepositoryExchanged() }),
  ]) {
    let rounds = 0
    const attempt = (last: number) => async (): Promise<number> => {
      if (++rounds < last) throw error
      return rounds
    }
    t.equal(await untilUnexchanged(attempt(4), () => true), 4)
    rounds = 0
    await t.rejects(
      untilUnexchanged(attempt(5), () => true),
      error,
    )
    t.equal(rounds, 4)
    rounds = 0
    await t.rejects(
      untilUnexchanged(attempt(2), () => false),
      error,
      'not after the first byte',
    )
    t.equal(rounds, 1)
  }
})

t.test('a request that fails otherwise does not begin anew', async (t) => {
  let rounds = 0
  const attempt = async (): Promise<never> => {
    rounds++
    throw new TypeError('x')
  }
  await t.rejects(
    untilUnexchanged(attempt, () => true),
    TypeError,
  )
  t.equal(rounds, 1)
})
