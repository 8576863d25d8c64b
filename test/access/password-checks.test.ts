import t from 'tap'
import { hashSync } from 'bcryptjs'
import { BcryptThread } from '../../src/access/bcrypt-thread.js'
import { PasswordChecks, type PasswordCheck } from '../../src/access/password-checks.js'

const check = (user: string, password: string, part: Partial<PasswordCheck> = {}): PasswordCheck => ({
  ...{ user, password, address: 'nat', hash: `hash of ${user}`, own: true },
  ...part,
})

/** Threads that are done with a check when the test says so; `right` is everybody's password. */
function makeChecks(queueMax: number) {
  const running: (() => void)[] = []
  const makeThread = () => {
    let isBusy = false
    return {
      get isBusy() {
        return isBusy
      },
      check: (password: string) =>
        new Promise<boolean>((resolve) => {
          isBusy = true
          running.push(() => {
            isBusy = false
            resolve(password === 'right')
          })
        }),
      close: async () => {},
    }
  }
  const checks = new PasswordChecks(queueMax, undefined, makeThread)
  /** Ends the check that has run for longest, and lets others begin. */
  const finish = async (): Promise<void> => {
    running.shift()?.()
    await new Promise(setImmediate)
  }
  return { checks, running, finish }
}

t.test(
  'a flood for one user does not hold up another at its address, whose password is not known',
  async (t) => {
    const { checks, finish } = makeChecks(256)
    for (let guess = 0; guess < 80; guess++) void checks.check(check('alice', `guess ${guess}`))
    let good: boolean | undefined
    void checks.check(check('bob', 'right')).then((is) => (good = is))
    for (let turn = 0; turn < 3; turn++) await finish()
    t.equal(good, true, 'after the one that ran and one more')
  },
)

t.test('a password that was right lately waits for nobody', async (t) => {
  const { checks, running, finish } = makeChecks(256)
  const known = checks.check(check('alice', 'right'))
  await finish()
  t.equal(await known, true)
  for (let guess = 0; guess < 1000; guess++) checks.check(check('alice', `guess ${guess}`)).catch(() => {})
  t.equal(running.length, 1)
  let good: boolean | undefined
  void checks.check(check('alice', 'right')).then((is) => (good = is))
  t.equal(running.length, 2, 'it runs at once')
  running.pop()?.()
  await new Promise(setImmediate)
  t.equal(good, true)
  t.equal(running.length, 1, 'and nothing else runs there')
  const before = checks.waiting
  void checks.check(check('alice', 'right', { hash: 'another' })).catch(() => {})
  t.equal(checks.waiting, before, 'a changed password is not known: there is no place for it')
})

t.test('what only takes its time is never known', async (t) => {
  const { checks, running, finish } = makeChecks(10)
  const nobody = checks.check(check('nobody', 'right', { own: false }))
  await finish()
  t.equal(await nobody, true)
  void checks.check(check('alice', 'guess'))
  void checks.check(check('nobody', 'right', { own: false }))
  t.equal(running.length, 1)
})

t.test('threads that end fail their check, and begin anew', async (t) => {
  const thread = new BcryptThread()
  const hash = hashSync('a', 4)
  t.equal(await thread.check('a', hash), true)
  t.equal(await thread.check('b', hash), false)
  const ended = thread.check('a', hashSync('a', 12))
  t.equal(thread.isBusy, true)
  await Promise.all([t.rejects(ended, /not checked any more/), thread.close()])
  t.equal(await thread.check('a', hash), true)
  await thread.close()
})
