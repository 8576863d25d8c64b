import t from 'tap'
import type { Repository } from '../../../src/git/state/repository.js'
import { overridesNothing } from '../../../src/origin/git-overrides.js'
import { checkGitOverrides } from '../../../src/origin/disk/checked-overrides.js'

const repository = {} as Repository
const objects = { objects: '/r/objects', alternates: [] } as never

t.test('overrides that are allowed are returned checked', async (t) => {
  const asked: unknown[] = []
  const checked = await checkGitOverrides(
    repository,
    { configOptions: ['transfer.hideRefs=refs/x'], objectDirectory: 'q', alternateObjectDirectories: ['a'] },
    (...all) => {
      asked.push(...all)
      return objects
    },
  )
  t.equal(checked.objects, objects)
  t.equal(checked.config.length, 1)
  t.match(JSON.stringify(checked.config).toLowerCase(), /transfer.hiderefs/)
  t.same(asked, [repository, 'q', ['a']])
})

t.test('configuration and object directories that are not allowed are refused with the reason', async (t) => {
  const check = (configOptions: string[], found: unknown) =>
    checkGitOverrides(repository, { configOptions }, () => found as never)
  await t.rejects(check(['core.sshCommand=x'], objects), {
    name: 'InvalidGitOverrides',
    message: /sshcommand/i,
  })
  await t.rejects(check([], { refused: 'not below the repository' }), {
    name: 'InvalidGitOverrides',
    message: 'not below the repository',
  })
})

t.test('a request without any value overrides nothing', async (t) => {
  t.equal(overridesNothing({}), true)
  t.equal(
    overridesNothing({ configOptions: [], objectDirectory: '', alternateObjectDirectories: [] }),
    true,
    'as gRPC fills in what is not set',
  )
  t.equal(overridesNothing({ configOptions: ['a.b=c'] }), false)
  t.equal(overridesNothing({ objectDirectory: 'q' }), false)
  t.equal(overridesNothing({ alternateObjectDirectories: ['a'] }), false)
})
