import t, { type Test } from 'tap'
import { mock } from 'node:test'
import { Leases } from '../../../src/freshness/leases/leases.js'
import type { Repository } from '../../../src/git/state/repository.js'
import { DiskLeases } from '../../../src/origin/disk/disk-leases.js'
import { Modes } from '../../../src/origin/disk/observation/modes.js'

function openLeases(t: Test): Leases {
  const leases = new Leases()
  t.teardown(() => leases.close())
  return leases
}

const modesOf = (mode: 'observe' | 'lease'): Modes => new Modes({ rules: [{ glob: '/**', mode }] })

/** A repository that need not be there. */
const somewhere: Repository = {
  ...{ gitDir: '/r', commonDir: '/r', gitName: '/r', commonName: '/r' },
  ...{ linkedNames: [], gitIdentity: '1', commonIdentity: '1' },
}

for (const mode of ['lease', 'observe'] as const) {
  t.test(`a mutator inside this process holds its lease until it ends; mode ${mode}`, async (t) => {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1e12 })
    t.teardown(() => mock.timers.reset())
    const leases = openLeases(t)
    const own = new DiskLeases({ leases, modes: modesOf(mode) })
    // In the mode observe, the disk shows whether there was a change.
    const ended = mode === 'lease' ? 1 : 0
    const repository = somewhere
    const end = own.hold(repository, 'push') as () => void
    const other = own.hold(repository, 'push') as () => void
    for (let minute = 0; minute < 5; minute++) {
      for (let second = 0; second < 60; second++) mock.timers.tick(1000)
      t.match(leases.statusOf('/r'), { open: 2, openings: 2, changes: 0 })
    }
    end()
    t.match(leases.statusOf('/r'), { open: 1, openings: 2, changes: ended })
    // As if the process had stood still for longer than the lease lasts.
    leases.end(leases.list()[0]!.id, 'expired')
    other()
    t.match(
      leases.statusOf('/r'),
      { open: 0, openings: 2, changes: ended + 2 },
      'its end counts as a change all the same',
    )
    for (let second = 0; second < 200; second++) mock.timers.tick(1000)
    t.match(leases.statusOf('/r'), { open: 0, openings: 2, changes: ended + 2 }, 'no timer is left')
  })
}

t.test('with too many leases open, a change invalidates its repository at its end', async (t) => {
  const leases = openLeases(t)
  const own = new DiskLeases({ leases, modes: modesOf('observe') })
  for (let count = 0; count < 10_000; count++) leases.open('/x', 60_000)
  const end = own.hold(somewhere, 'push') as () => void
  t.match(leases.statusOf('/r'), { open: 0, openings: 0, changes: 0 })
  end()
  t.match(leases.statusOf('/r'), { open: 0, openings: 0, changes: 1 })
})
