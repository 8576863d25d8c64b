import t from 'tap'
import { hashSync } from 'bcryptjs'
import { BcryptThread } from '../../../src/access/passwords/bcrypt-thread.js'
import { PasswordChecks, type PasswordCheck } from '../../../src/access/passwords/password-checks.js'

const check = (user: string, password: string, part: Partial<PasswordCheck> = {}): PasswordCheck => ({
  ...{ user, password, address: 'nat', hash: `hash of ${user}`, own: true },
  ...part,
})

/** Threads whose checks end when the test says so; every user's password is `right`. */
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
  /** Ends the check that has run for longest, and lets others start. */
  const finish = async (): Promise<void> => {
    running.shift()?.()
    await new Promise(setImmediate)
  }
  return { checks, running, finish }
}

t.test('a flood of guesses for one user does not delay another user at its address', async (t) => {
  const { checks, finish } = makeChecks(256)
  for (let guess = 0; guess < 80; guess++) void checks.check(check('alice', `guess ${guess}`))
  let isCorrect: boolean | undefined
  void checks.check(check('bob', 'right')).then((is) => (isCorrect = is))
  for (let ended = 0; ended < 3; ended++) await finish()
  t.equal(isCorrect, true, 'after the check that ran and one more')
})

t.test('a password that was correct lately is not delayed by a flood of guesses', async (t) => {
  const { checks, running, finish } = makeChecks(256)
  const known = checks.check(check('alice', 'right'))
  await finish()
  t.equal(await known, true)
  for (let guess = 0; guess < 1000; guess++) checks.check(check('alice', `guess ${guess}`)).catch(() => {})
  t.equal(running.length, 1)
  let isCorrect: boolean | undefined
  void checks.check(check('alice', 'right')).then((is) => (isCorrect = is))
  t.equal(running.length, 2, 'it runs at once')
  running.pop()?.()
  await new Promise(setImmediate)
  t.equal(isCorrect, true)
  t.equal(running.length, 1, 'no other check takes the second thread')
  const changed = checks.check(check('alice', 'right', { hash: 'another' }))
  await t.rejects(
    changed,
    { name: 'Overloaded' },
    'a changed password is in the queue of guesses, which is full',
  )
})

t.test('a check for an unknown user is never remembered as correct', async (t) => {
  const { checks, running, finish } = makeChecks(10)
  const unknown = checks.check(check('nobody', 'right', { own: false }))
  await finish()
  t.equal(await unknown, true)
  void checks.check(check('alice', 'guess'))
  void checks.check(check('nobody', 'right', { own: false }))
  t.equal(running.length, 1)
})

t.test('a check fails if its thread ends, and the next starts another thread', async (t) => {
  const thread = new BcryptThread()
  const hash = hashSync('a', 4)
  t.equal(await thread.check('a', hash), true)
  t.equal(await thread.check('b', hash), false)
  const ended = thread.check('a', hashSync('a', 12))
  t.equal(thread.isBusy, true)
  await Promise.all([t.rejects(ended, /thread that checks passwords has ended/), thread.close()])
  t.equal(await thread.check('a', hash), true)
  await thread.close()
})
