import t from 'tap'
import { eitherSubjects, type LeaseSubjects } from '../../src/origin/lease-subjects.js'

const disk = (find: LeaseSubjects['find']): LeaseSubjects => ({
  find,
  nameOf: (subject) => `disk ${subject}`,
})
const upstream: LeaseSubjects = {
  find: (name) => (name === 'none' ? undefined : `https://h/${name}`),
  nameOf: (subject) => `upstream ${subject}`,
}

t.test('the first that knows a repository names it', async (t) => {
  const here = (name: string) => (name === 'r' ? '/srv/r' : undefined)
  const finders: LeaseSubjects['find'][] = [here, async (name) => here(name)]
  for (const find of finders) {
    const subjects = eitherSubjects(disk(find), upstream)
    t.equal(await subjects.find('r'), '/srv/r')
    t.equal(await subjects.find('other'), 'https://h/other')
    t.equal(await subjects.find('none'), undefined)
  }
  t.equal(eitherSubjects(disk(here), upstream).find('r'), '/srv/r', 'at once where it is known at once')
})

t.test('that the first does not answer is not taken for its not having a repository', async (t) => {
  const error = new Error('the filesystem does not answer')
  const failing = disk(() => {
    throw error
  })
  t.throws(() => eitherSubjects(failing, upstream).find('r'), error)
  await t.rejects(
    eitherSubjects(
      disk(() => Promise.reject(error)),
      upstream,
    ).find('r') as Promise<string>,
    error,
  )
})

t.test('a subject is shown by the one that has named it', async (t) => {
  const subjects = eitherSubjects(
    disk(() => undefined),
    upstream,
  )
  t.equal(subjects.nameOf('/srv/r'), 'disk /srv/r')
  t.equal(subjects.nameOf('https://h/r'), 'upstream https://h/r')
  t.equal(subjects.nameOf('http://h/r'), 'upstream http://h/r')
})
