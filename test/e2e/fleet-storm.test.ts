import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { answersOf, follow, followAll, type FollowedRequest } from '../support/fleet/following.js'
import { skipKind, startFleetOf, type FleetKind } from '../support/fleet/kinds.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { gitClient } from '../support/git-client.js'
import { completeQuery } from '../support/ref-answers.js'
import { addPackedBranches, git, makeCommit, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

const advertisement: FollowedRequest = { path: '/r.git/info/refs?service=git-upload-pack' }
const lsRefs: FollowedRequest = {
  path: '/r.git/git-upload-pack',
  headers: { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' },
  body: completeQuery({}),
}
const questions = { advertisement, lsRefs }

for (const kind of ['redis', 'etcd', 'workers'] satisfies FleetKind[]) {
  t.test(
    `300 clients of three processes cost one run of Git: ${kind}`,
    { skip: skipKind[kind] },
    async (t) => {
      const root = tempDir(t)
      const repository = makeRepository(root, 'r.git')
      addPackedBranches(repository, 2000)
      git(repository, 'config', 'http.receivepack', 'true')
      const wrapper = makeGitWrapper(t)
      const fleet = await startFleetOf(t, kind, { root, args: ['--git', wrapper.path] })
      for (const [name, question] of Object.entries(questions)) {
        const before = wrapper.count('upload-pack')
        wrapper.plan(plans.pause(1000, name))
        const clients = followAll(fleet, 300, question)
        await eventually(
          'all follow',
          async () => (await fleet.metric('refstream_followers')) >= (name === 'lsRefs' ? 3 : 300),
        )
        if (question === advertisement) {
          await eventually('all have what Git has sent', () =>
            clients.every(({ length }) => length() >= 1000),
          )
          t.ok(clients.every(({ length }) => length() < 2000))
        }
        wrapper.signal(name)
        const answers = await answersOf(clients)
        t.match(answers, [/^200 1\d{5} \w+ 0000$/], `${name}: all are whole and equal`)
        t.equal(wrapper.count('upload-pack'), before + 1, `${name}: one process`)
      }
      wrapper.plan(undefined)
      const work = tempDir(t)
      const client = gitClient(2)
      await client(work, 'clone', '--quiet', '--bare', `${fleet.processes[0]!.url}/r.git`, 'clone')
      await client(`${work}/clone`, 'push', '--quiet', 'origin', 'main:refs/heads/pushed')
      const before = wrapper.count('upload-pack')
      for (const [name, question] of Object.entries(questions)) {
        const answers = await answersOf(followAll(fleet, 60, question))
        t.match(answers, [/^200 1\d{5} \w+ 0000$/], `${name} after a push: all are whole and equal`)
        // Advertisements are made from the listing that answers ls-refs; the first splices are audited by a process each.
        await eventually(`${name} after a push: one more process for both`, async () => {
          const audits = await fleet.metric('refstream_splice_audits_total')
          return wrapper.count('upload-pack') === before + 1 + audits
        })
        const { body } = (await follow(fleet.processes[1]!, question).answer)!
        t.match(body.toString('latin1'), 'refs/heads/pushed')
      }
      t.equal(wrapper.mostAtOnce(), 1)
      t.equal(await fleet.metric('refstream_fleet_loser_publishes_total'), 0)
    },
  )

  t.test(
    `pushes while 30 clients read: one process at once: ${kind}`,
    { skip: skipKind[kind] },
    async (t) => {
      const root = tempDir(t)
      const repository = makeRepository(root, 'r.git')
      addPackedBranches(repository, 500)
      const commits = Array.from({ length: 4 }, (_, index) => makeCommit(repository, `${index}`))
      const wrapper = makeGitWrapper(t)
      // Long enough that two of them would be seen.
      wrapper.plan('sleep 0.02\n')
      const fleet = await startFleetOf(t, kind, { root, args: ['--git', wrapper.path], connections: 20 })
      let pushes = 0
      let isOver = false
      let answers = 0
      const reader = async (index: number, question: FollowedRequest): Promise<void> => {
        while (!isOver) {
          const pushed = pushes
          const answer = await follow(fleet.processes[index % 3]!, question).answer
          if (answer?.status !== 200) throw new Error(`a client got ${answer?.status}`)
          const body = answer.body.toString('latin1')
          if (!body.endsWith('0000')) t.fail('short')
          const seen = Number(/refs\/heads\/n\/(\d+)/.exec(body)?.[1] ?? 0)
          if (seen < pushed) t.fail(`stale: ${seen} after ${pushed}`)
          answers++
        }
      }
      const readers = Array.from({ length: 30 }, (_, index) =>
        reader(index, index < 15 ? advertisement : lsRefs),
      )
      while (pushes < 20) {
        const next = pushes + 1
        git(repository, 'update-ref', `refs/heads/n/${next}`, commits[next % 4]!)
        if (pushes > 0) git(repository, 'update-ref', '-d', `refs/heads/n/${pushes}`)
        pushes = next
        // Shorter and longer than the time after which a state can be named.
        await sleep(next % 5 === 0 ? 40 : 5)
      }
      isOver = true
      await Promise.all(readers)
      t.comment(`${answers} answers, ${wrapper.count('upload-pack')} processes`)
      t.equal(wrapper.mostAtOnce(), 1)
    },
  )
}
